/** The fleet, live. */
import type { Clients } from '../mesh/clients.ts';
import { FailureNote } from '../ui/failure-note.tsx';
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
          {replicas.length === 0 && <NoReplicas fleet={fleet} />}
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

/** Why there are none to see. */
function NoReplicas({ fleet }: { fleet: FleetState }) {
  const { value: link } = fleet.link.state;
  if (fleet.isListed.value) {
    return (
      <p class="empty">
        No replica has joined. Start one: <code>npm run replica -- resize</code>
      </p>
    );
  }
  if (link.kind === 'lost') return <FailureNote failure={link.failure} onRetry={fleet.link.retryNow} />;
  return (
    <>
      <p class="empty" role="status">
        Asking the mesh for its replicas…
      </p>
      <div class="replicas" aria-hidden="true">
        {[0, 1, 2, 3].map((at) => (
          <div key={at} class="card replica waiting" />
        ))}
      </div>
    </>
  );
}
