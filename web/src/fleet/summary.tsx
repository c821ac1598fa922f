/** The fleet in some figures. */
import { type QueueStatus, ReplicaState, type WorkerKind } from '@imagemesh/api';
import { workerName } from '../mesh/names.ts';
import { countText, durationText } from '../ui/format.ts';
import type { FleetState } from './fleet-state.ts';

const taking: readonly ReplicaState[] = [ReplicaState.READY, ReplicaState.WARMING];

export function Summary({ fleet }: { fleet: FleetState }) {
  const replicas = fleet.replicas.value;
  const queues = fleet.queues.value;
  void fleet.samples.value;
  const living = replicas.filter(({ state }) => state !== ReplicaState.DEAD);
  const perSecond = [...fleet.history.replicas.values()].reduce(
    (sum, { perSecond: track }) => sum + (track.at(-1) ?? 0),
    0,
  );
  const sum = (of: (queue: QueueStatus) => number) => queues.reduce((total, queue) => total + of(queue), 0);
  const ejected = living.filter(({ state }) => state === ReplicaState.EJECTED).length;
  return (
    <dl class="tiles">
      <Tile
        name="Taking work"
        value={`${living.filter(({ state }) => taking.includes(state)).length} of ${replicas.length}`}
      >
        {kinds(living.map(({ worker }) => worker))}
      </Tile>
      <Tile name="Calls a second" value={countText(perSecond)}>
        all replicas together
      </Tile>
      <Tile name="Running" value={countText(sum(({ inFlight }) => inFlight))}>
        of {living.reduce((total, { slots }) => total + slots, 0)} slots
      </Tile>
      <Tile name="Waiting" value={countText(sum(({ queued }) => queued))}>
        {durationText(sum(({ queuedCostMs }) => queuedCostMs))} of work
      </Tile>
      <Tile
        name="Failed by replicas"
        value={countText(replicas.reduce((total, { failed }) => total + Number(failed), 0))}
      >
        {ejected === 0 ? 'none ejected now' : `${ejected} ejected now`}
      </Tile>
    </dl>
  );
}

function Tile({
  name,
  value,
  children,
}: {
  name: string;
  value: string;
  children: preact.ComponentChildren;
}) {
  return (
    <div class="card tile">
      <dt>{name}</dt>
      <dd>
        <span class="tile-value">{value}</span>
        <span class="soft">{children}</span>
      </dd>
    </div>
  );
}

function kinds(workers: readonly WorkerKind[]): string {
  const counts = new Map<WorkerKind, number>();
  for (const worker of workers) counts.set(worker, (counts.get(worker) ?? 0) + 1);
  return [...counts].map(([worker, count]) => `${count} ${workerName(worker)}`).join(' · ') || 'no replicas';
}
