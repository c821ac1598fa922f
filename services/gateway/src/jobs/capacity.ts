/**
 * How many jobs this gateway may run now, from what the balancers say of their replicas and queues. So jobs wait in the
 * queue, where any gateway can take them and higher priorities overtake, and not in the balancers.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type QueueStatus, type Replica, ReplicaState } from '@imagemesh/api';
import { newTrace } from '@imagemesh/observe';
import type { Balancers } from '../balancers.ts';
import { mergeListings } from '../merge-replicas.ts';

export interface Capacity {
  /** Jobs that may run, given that so many do. */
  limit(running: number): number;
}

export interface CapacityOptions {
  readonly balancers: Pick<Balancers, 'list'>;
  /** Never more than this. */
  readonly maxJobs: number;
  readonly signal: AbortSignal;
  /** How often they are asked. Default 500. */
  readonly everyMs?: number;
}

interface Seen {
  readonly slots: number;
  readonly queued: number;
}

/** A job writes its record, or waits for the other kind of replica, while others have the slot. */
const jobsPerSlot = 3;

export function createCapacity({ balancers, maxJobs, signal, everyMs = 500 }: CapacityOptions): Capacity {
  let seen: Seen = { slots: 0, queued: 0 };
  void keepAsking();

  async function keepAsking(): Promise<void> {
    const call = { requestId: 'job-capacity', trace: newTrace(), signal };
    while (!signal.aborted) {
      try {
        seen = look(mergeListings(await balancers.list(call)));
      } catch {
        // No balancer can be reached: nothing could be run.
        seen = { slots: 0, queued: 0 };
      }
      await sleep(everyMs, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  return { limit: (running) => jobLimit(seen, running, maxJobs) };
}

export function look(listing: {
  readonly replicas: readonly Replica[];
  readonly queues: readonly QueueStatus[];
}): Seen {
  const takesWork = ({ state }: Replica) =>
    state === ReplicaState.READY || state === ReplicaState.WARMING || state === ReplicaState.SUSPECT;
  return {
    slots: listing.replicas.filter(takesWork).reduce((sum, { slots }) => sum + slots, 0),
    queued: listing.queues.reduce((sum, { queued }) => sum + queued, 0),
  };
}

/** Three a slot, less what others have waiting there; at least one while there is any slot, so that jobs go on. */
export function jobLimit({ slots, queued }: Seen, running: number, maxJobs: number): number {
  if (slots === 0) return 0;
  const ofOthers = Math.max(0, queued - running);
  return Math.min(maxJobs, Math.max(1, slots * jobsPerSlot - ofOthers));
}
