import type { Signal } from '@preact/signals';
import type { FleetState } from '../fleet/fleet-state.ts';
import type { ApiKey } from '../mesh/api-key.ts';
import type { PlaygroundState } from '../playground/playground-state.ts';
import { nameText } from '../ui/format.ts';
import { Icon } from '../ui/icon.tsx';
import { MeshPill } from './mesh-pill.tsx';
import { href, type Router, VIEWS } from './route.ts';
import { THEMES, type Theme } from './theme.ts';

interface HeaderProps {
  readonly theme: Signal<Theme>;
  readonly router: Router;
  readonly apiKey: ApiKey;
  readonly playground: PlaygroundState;
  readonly fleet: FleetState;
}

export function Header({ theme, router, apiKey, playground, fleet }: HeaderProps) {
  const here = router.place.value.view;
  return (
    <header class="header">
      <a
        class="brand"
        aria-label="imagemesh"
        href={href({ view: 'playground', query: playground.query.value })}
      >
        <img src="./icon.svg" width="22" height="22" alt="" />
        <span>imagemesh</span>
      </a>
      <nav class="tabs" aria-label="Views">
        {VIEWS.map((view) => (
          <a
            key={view}
            href={href({ view, query: view === 'playground' ? playground.query.value : '' })}
            aria-current={view === here ? 'page' : undefined}
          >
            {nameText(view)}
          </a>
        ))}
      </nav>
      <div class="header-end">
        <MeshPill fleet={fleet} />
        <button
          type="button"
          class="icon-button"
          aria-label={apiKey.current.value === '' ? 'Enter an API key' : 'Change the API key'}
          title="API key"
          data-set={apiKey.current.value !== ''}
          onClick={() => {
            apiKey.isWanted.value = true;
          }}
        >
          <Icon name="key" />
        </button>
        <ThemeButton theme={theme} />
      </div>
    </header>
  );
}

const themeIcons = { system: 'screen', light: 'sun', dark: 'moon' } as const;

function ThemeButton({ theme }: { theme: Signal<Theme> }) {
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? 'system';
  return (
    <button
      type="button"
      class="icon-button"
      aria-label={`Theme: ${theme.value}. Change to ${next}`}
      title={`Theme: ${theme.value}`}
      onClick={() => {
        theme.value = next;
      }}
    >
      <Icon name={themeIcons[theme.value]} />
    </button>
  );
}
