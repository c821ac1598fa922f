/** The fleet, live. */
import type { Clients } from '../mesh/clients.ts';
import { Charts, lineColor } from './charts.tsx';
import { Feed } from './feed.tsx';
import type { FleetState } from './fleet-state.ts';
import { ReplicaCard } from './replica-card.tsx';
import { Summary } from './summary.tsx';

export function FleetView({ fleet, clients }: { fleet: FleetState; clients: Clients }) {
  const { value: link } = fleet.link.state;
  const replicas = fleet.replicas.value;
  // Read so that times move on.
  void fleet.samples.value;
  const nowMs = Date.now();
  const ids = [...fleet.history.replicas.keys()].sort();
  const onDrain = async (replicaId: string) => {
    await clients.balancers.drainReplica({ replicaId, reason: 'asked for on the page' });
  };
  return (
    <div class="fleet" data-stale={link.kind === 'lost'}>
      <h1 class="visually-hidden">Fleet</h1>
      <Summary fleet={fleet} />
      <Charts fleet={fleet} />
      <div class="fleet-body">
        <section aria-labelledby="replicas-title">
          <h2 id="replicas-title">Replicas</h2>
          {replicas.length === 0 && (
            <p class="empty">
              {link.kind === 'live'
                ? 'No replica has joined. Start one with “npm run replica -- resize”.'
                : 'Waiting for the first list of replicas…'}
            </p>
          )}
          <ul class="replicas">
            {replicas.map((replica) => (
              <ReplicaCard
                key={replica.replicaId}
                replica={replica}
                history={fleet.history.replicas.get(replica.replicaId)}
                color={lineColor(Math.max(0, ids.indexOf(replica.replicaId)))}
                nowMs={nowMs}
                onDrain={onDrain}
              />
            ))}
          </ul>
        </section>
        <Feed fleet={fleet} clients={clients} nowMs={nowMs} />
      </div>
    </div>
  );
}
