/** The page: its header, and one of three views. */
import type { Signal } from '@preact/signals';
import type { FleetState } from './fleet/fleet-state.ts';
import { FleetView } from './fleet/fleet-view.tsx';
import type { JobsBoard } from './jobs/jobs-state.ts';
import { JobsView } from './jobs/jobs-view.tsx';
import type { ApiKey } from './mesh/api-key.ts';
import type { Clients } from './mesh/clients.ts';
import type { PlaygroundState } from './playground/playground-state.ts';
import { PlaygroundView } from './playground/playground-view.tsx';
import { Header } from './shell/header.tsx';
import { KeyDialog } from './shell/key-dialog.tsx';
import { LinkBanner } from './shell/link-banner.tsx';
import type { Router } from './shell/route.ts';
import type { Theme } from './shell/theme.ts';

export interface AppProps {
  readonly theme: Signal<Theme>;
  readonly router: Router;
  readonly apiKey: ApiKey;
  readonly clients: Clients;
  readonly playground: PlaygroundState;
  readonly fleet: FleetState;
  readonly jobs: JobsBoard;
}

export function App(props: AppProps) {
  const { view } = props.router.place.value;
  return (
    <>
      <button type="button" class="skip" onClick={focusMain}>
        Skip to content
      </button>
      <Header {...props} />
      <LinkBanner link={props.fleet.link} />
      <main id="main" tabIndex={-1} class={`view view-${view}`}>
        <CurrentView {...props} />
      </main>
      <KeyDialog apiKey={props.apiKey} />
    </>
  );
}

function CurrentView({ router, clients, playground, fleet, jobs }: AppProps) {
  const { view } = router.place.value;
  switch (view) {
    case 'playground':
      return <PlaygroundView playground={playground} />;
    case 'jobs':
      return <JobsView board={jobs} clients={clients} playground={playground} />;
    case 'fleet':
      return <FleetView fleet={fleet} clients={clients} />;
    default:
      return view satisfies never;
  }
}

/** A button, as the fragment that a link would need is the view's. */
function focusMain(): void {
  document.getElementById('main')?.focus();
}
