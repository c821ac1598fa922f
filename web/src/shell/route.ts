/** Where the page is: "#/jobs", "#/?ops=…". The view and its query are the fragment, so that any server can serve the page. */
import { type ReadonlySignal, signal } from '@preact/signals';

export const VIEWS = ['playground', 'jobs', 'fleet'] as const;
export type View = (typeof VIEWS)[number];

export interface Place {
  readonly view: View;
  readonly query: string;
}

export interface Router {
  readonly place: ReadonlySignal<Place>;
  /** Changes the query without a new entry in the history. */
  replace(place: Place): void;
}

export function createRouter(window: Window): Router {
  const place = signal(parse(window.location.hash));
  window.addEventListener('hashchange', () => {
    place.value = parse(window.location.hash);
  });
  return {
    place,
    replace(next) {
      const { value: now } = place;
      if (now.view === next.view && now.query === next.query) return;
      window.history.replaceState(null, '', href(next));
      place.value = next;
    },
  };
}

export function href({ view, query }: Place): string {
  return `#/${view}${query === '' ? '' : `?${query}`}`;
}

function parse(hash: string): Place {
  const [path = '', query = ''] = splitOnce(hash.replace(/^#\/?/, ''), '?');
  return { view: VIEWS.find((view) => view === path) ?? 'playground', query };
}

function splitOnce(text: string, by: string): readonly string[] {
  const at = text.indexOf(by);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
