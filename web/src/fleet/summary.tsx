/** The fleet in some figures. */
import { type QueueStatus, type Replica, ReplicaState, type WorkerKind } from '@imagemesh/api';
import { workerName } from '../mesh/names.ts';
import { countText, durationText } from '../ui/format.ts';
import type { FleetState } from './fleet-state.ts';

const taking: readonly ReplicaState[] = [ReplicaState.READY, ReplicaState.WARMING];

export function Summary({ fleet }: { fleet: FleetState }) {
  const replicas = fleet.replicas.value;
  const queues = fleet.queues.value;
  void fleet.samples.value;
  const isListed = fleet.isListed.value;
  const living = replicas.filter(({ state }) => state !== ReplicaState.DEAD);
  const perSecond = [...fleet.history.replicas.values()].reduce(
    (sum, { perSecond: track }) => sum + (track.at(-1) ?? 0),
    0,
  );
  const sum = (of: (queue: QueueStatus) => number) => queues.reduce((total, queue) => total + of(queue), 0);
  const count = (of: (replica: Replica) => number) =>
    replicas.reduce((total, replica) => total + of(replica), 0);
  const ejected = living.filter(({ state }) => state === ReplicaState.EJECTED).length;
  const tiles: readonly TileProps[] = [
    {
      name: 'Taking work',
      value: `${living.filter(({ state }) => taking.includes(state)).length} of ${replicas.length}`,
      text: kinds(living.map(({ worker }) => worker)),
    },
    { name: 'Calls a second', value: countText(perSecond), text: 'all replicas together' },
    {
      name: 'Running',
      value: countText(sum(({ inFlight }) => inFlight)),
      text: `of ${living.reduce((total, { slots }) => total + slots, 0)} slots`,
    },
    {
      name: 'Waiting',
      value: countText(sum(({ queued }) => queued)),
      text: `${durationText(sum(({ queuedCostMs }) => queuedCostMs))} of work`,
    },
    {
      name: 'Failed by replicas',
      value: countText(count(({ failed }) => Number(failed))),
      text: `${countText(count(({ retried }) => Number(retried)))} sent elsewhere`,
    },
    {
      name: 'Ejections',
      value: countText(count(({ ejections }) => ejections)),
      text: ejected === 0 ? 'none is out now' : `${ejected} out now`,
    },
  ];
  return (
    <dl class="tiles" aria-busy={!isListed}>
      {tiles.map((tile) => (
        <Tile key={tile.name} {...(isListed ? tile : { ...tile, value: '—', text: 'not known yet' })} />
      ))}
    </dl>
  );
}

interface TileProps {
  readonly name: string;
  readonly value: string;
  readonly text: string;
}

function Tile({ name, value, text }: TileProps) {
  return (
    <div class="card tile">
      <dt>{name}</dt>
      <dd>
        <span class="tile-value">{value}</span>
        <span class="soft">{text}</span>
      </dd>
    </div>
  );
}

function kinds(workers: readonly WorkerKind[]): string {
  const counts = new Map<WorkerKind, number>();
  for (const worker of workers) counts.set(worker, (counts.get(worker) ?? 0) + 1);
  return [...counts].map(([worker, count]) => `${count} ${workerName(worker)}`).join(' · ') || 'no replicas';
}
