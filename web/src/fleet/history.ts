/** The last minutes of the fleet, one sample a second: what the charts show. Pure but for its own memory. */
import { type QueueStatus, type Replica, ReplicaState } from '@imagemesh/api';

export const SAMPLE_MS = 1000;
/** Five minutes. */
export const MAX_SAMPLES = 300;

/** A number where the replica was seen, null where not. */
export type Track = (number | null)[];

export interface ReplicaHistory {
  readonly perSecond: Track;
  readonly p50Ms: Track;
  readonly p99Ms: Track;
  readonly inFlight: Track;
  readonly state: (ReplicaState | null)[];
}

export interface History {
  /** Seconds since 1970, as uPlot wants them. */
  readonly times: number[];
  readonly replicas: ReadonlyMap<string, ReplicaHistory>;
  readonly queued: Track;
  /** One more sample; without a listing, a gap. */
  sample(nowMs: number, listing: Listing | undefined): void;
}

export interface Listing {
  readonly replicas: readonly Replica[];
  readonly queues: readonly QueueStatus[];
}

export function createHistory(maxSamples = MAX_SAMPLES): History {
  const times: number[] = [];
  const queued: Track = [];
  const replicas = new Map<string, ReplicaHistory>();
  const counts = new Map<string, { readonly completed: number; readonly atMs: number }>();

  function rate(id: string, completed: number, nowMs: number): number | null {
    const before = counts.get(id);
    counts.set(id, { completed, atMs: nowMs });
    // A replica that has come back under its name counts from 0 again.
    if (before === undefined || completed < before.completed) return 0;
    return ((completed - before.completed) * 1000) / Math.max(1, nowMs - before.atMs);
  }

  return {
    times,
    queued,
    replicas,
    sample(nowMs, listing) {
      times.push(nowMs / 1000);
      queued.push(
        listing === undefined ? null : listing.queues.reduce((sum, queue) => sum + queue.queued, 0),
      );
      for (const { replicaId } of listing?.replicas ?? []) {
        if (!replicas.has(replicaId)) replicas.set(replicaId, emptyHistory(times.length - 1));
      }
      for (const [id, history] of replicas) {
        const seen = listing?.replicas.find(({ replicaId }) => replicaId === id);
        const isAlive = seen !== undefined && seen.state !== ReplicaState.DEAD;
        history.state.push(seen?.state ?? null);
        history.perSecond.push(isAlive ? rate(id, Number(seen.completed), nowMs) : null);
        history.p50Ms.push(isAlive && seen.p50Ms > 0 ? seen.p50Ms : null);
        history.p99Ms.push(isAlive && seen.p99Ms > 0 ? seen.p99Ms : null);
        history.inFlight.push(isAlive ? seen.inFlight : null);
        if (!isAlive) counts.delete(id);
      }
      if (times.length <= maxSamples) return;
      for (const track of [times, queued]) track.shift();
      for (const [id, history] of replicas) {
        for (const track of Object.values(history)) track.shift();
        if (history.state.every((state) => state === null)) replicas.delete(id);
      }
    },
  };
}

function emptyHistory(samples: number): ReplicaHistory {
  const gap = () => Array.from({ length: samples }, () => null);
  return { perSecond: gap(), p50Ms: gap(), p99Ms: gap(), inFlight: gap(), state: gap() };
}

/** A state, from which sample on and for how many. */
export interface StateRun {
  readonly state: ReplicaState | null;
  readonly from: number;
  readonly length: number;
}

export function stateRuns(states: readonly (ReplicaState | null)[]): readonly StateRun[] {
  const runs: StateRun[] = [];
  for (const [at, state] of states.entries()) {
    const last = runs.at(-1);
    if (last?.state === state) runs[runs.length - 1] = { ...last, length: last.length + 1 };
    else runs.push({ state, from: at, length: 1 });
  }
  return runs;
}
