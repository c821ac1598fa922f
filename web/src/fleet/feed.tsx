/** What happens in the mesh, newest first: replicas that come and go, and the events it publishes. */
import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import type { Clients } from '../mesh/clients.ts';
import type { LinkState } from '../mesh/follow.ts';
import { agoText } from '../ui/format.ts';
import { followEvents } from './events.ts';
import type { FleetState } from './fleet-state.ts';
import type { Notice } from './notices.ts';

const shownMost = 100;

export function Feed({ fleet, clients, nowMs }: { fleet: FleetState; clients: Clients; nowMs: number }) {
  const events = useSignal<readonly Notice[]>([]);
  const link = useSignal<LinkState>({ kind: 'connecting' });
  useEffect(() => followEvents(clients, events, link), [clients, events, link]);
  const { value: notices } = fleet.notices;
  const { value: published } = events;
  const lines = useMemo(
    () => [...notices, ...published].sort((a, b) => b.atMs - a.atMs).slice(0, shownMost),
    [notices, published],
  );
  const { value: state } = link;
  return (
    <section class="feed" aria-labelledby="feed-title">
      <h2 id="feed-title">Events</h2>
      {state.kind === 'lost' && state.failure.kind !== 'offline' && (
        <p class="note" data-tone="warn">
          {state.failure.kind === 'unserved'
            ? 'This gateway does not serve WatchEvents; replicas are reported all the same.'
            : `Events cannot be watched: ${state.failure.message}`}
        </p>
      )}
      {lines.length === 0 ? (
        <p class="empty">Nothing has happened since the page was opened.</p>
      ) : (
        <ol>
          {lines.map(({ id, tone, subject, text, atMs }) => (
            <li key={id} data-tone={tone}>
              <span class="dot" aria-hidden="true" />
              <span>
                <span class="mono">{subject}</span> {text}
              </span>
              <time class="soft">{agoText(atMs, nowMs)}</time>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
