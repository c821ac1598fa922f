/** One list of replicas out of what several balancers say. Pure. */
import { clone } from '@bufbuild/protobuf';
import { type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt';
import { type QueueStatus, type Replica, ReplicaSchema, ReplicaState, type WorkerKind } from '@imagemesh/api';

/** What a balancer lists, or all of them. */
export interface Listing {
  readonly replicas: readonly Replica[];
  readonly queues: readonly QueueStatus[];
}

/** Worst last. A replica that one balancer has given up is in trouble, whatever the others have seen of it. */
const badness: readonly ReplicaState[] = [
  ReplicaState.UNSPECIFIED,
  ReplicaState.READY,
  ReplicaState.WARMING,
  ReplicaState.SUSPECT,
  ReplicaState.EJECTED,
  ReplicaState.DRAINING,
  ReplicaState.DEAD,
];

/**
 * Replicas by id and all queues. Counts are added up (each balancer counts its own calls), the state is the worst,
 * rates and times of calls come from the balancer that has seen the most calls, the load from the newest report, ejections from
 * the last.
 */
export function mergeListings(listings: readonly Listing[], worker?: WorkerKind) {
  const isWanted = (item: { worker: WorkerKind }) => !worker || item.worker === worker;
  const byId = new Map<string, Replica[]>();
  for (const replica of listings.flatMap(({ replicas }) => replicas).filter(isWanted)) {
    const views = byId.get(replica.replicaId);
    if (views === undefined) byId.set(replica.replicaId, [replica]);
    else views.push(replica);
  }
  return {
    replicas: [...byId.values()].map(mergeViews).sort((a, b) => compareText(a.replicaId, b.replicaId)),
    queues: listings
      .flatMap(({ queues }) => queues)
      .filter(isWanted)
      .sort((a, b) => compareText(a.balancerId, b.balancerId) || a.worker - b.worker),
  };
}

function mergeViews(views: readonly Replica[]): Replica {
  const wellSeen = views.reduce((best, view) => (view.completed > best.completed ? view : best));
  const newest = views.reduce((best, view) =>
    ms(view.lastReportTime) > ms(best.lastReportTime) ? view : best,
  );
  const worst = views.reduce((worst, view) =>
    badness.indexOf(view.state) > badness.indexOf(worst.state) ? view : worst,
  );
  const earliest = views.reduce((first, view) => (ms(view.joinTime) < ms(first.joinTime) ? view : first));
  const merged = clone(ReplicaSchema, wellSeen);
  merged.state = worst.state;
  merged.lastError = worst.lastError || (views.find(({ lastError }) => lastError !== '')?.lastError ?? '');
  merged.inFlight = sum(views.map((view) => view.inFlight));
  merged.completed = sumBig(views.map((view) => view.completed));
  merged.failed = sumBig(views.map((view) => view.failed));
  merged.retried = sumBig(views.map((view) => view.retried));
  merged.ejections = sum(views.map((view) => view.ejections));
  merged.balancerIds = [...new Set(views.flatMap((view) => view.balancerIds))].sort(compareText);
  merged.cpuCores = newest.cpuCores;
  merged.residentBytes = newest.residentBytes;
  setTime(merged, 'lastReportTime', newest.lastReportTime);
  setTime(merged, 'joinTime', earliest.joinTime);
  setTime(merged, 'lastEjectionTime', latest(views.map((view) => view.lastEjectionTime)));
  setTime(merged, 'ejectedUntilTime', latest(views.map((view) => view.ejectedUntilTime)));
  return merged;
}

type TimeField = 'lastReportTime' | 'joinTime' | 'lastEjectionTime' | 'ejectedUntilTime';

function setTime(replica: Replica, field: TimeField, time: Timestamp | undefined): void {
  if (time !== undefined) replica[field] = time;
}

function latest(times: readonly (Timestamp | undefined)[]): Timestamp | undefined {
  return times.reduce((last, time) => (ms(time) > ms(last) ? time : last), undefined);
}

function ms(time: Timestamp | undefined): number {
  return time === undefined ? 0 : timestampMs(time);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function sumBig(values: readonly bigint[]): bigint {
  return values.reduce((total, value) => total + value, 0n);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
