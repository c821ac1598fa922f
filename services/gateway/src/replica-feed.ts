/**
 * The replicas as they change, for any number of clients with one stream to each balancer. The streams run while
 * somebody follows; a balancer that is lost drops out of the list and is asked again until it is back.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { MeshError } from '@imagemesh/rpc';
import type { Balancers } from './balancers.ts';
import { type Listing, mergeListings } from './merge-replicas.ts';

export interface ReplicaFeed {
  /** The merged list at once, then after changes, at most every minIntervalMs, until the signal fires. */
  follow(minIntervalMs: number, signal: AbortSignal): AsyncIterable<ReturnType<typeof mergeListings>>;
  /** Ends the streams and every follower. */
  close(): void;
}

export interface ReplicaFeedOptions {
  readonly balancers: Pick<Balancers, 'addresses' | 'watch'>;
  /** Followers at once; more are OVERLOADED. */
  readonly maxFollowers: number;
  /** Least time between two messages of one balancer, in ms. Default 100, the least the API allows. */
  readonly sourceIntervalMs?: number;
  /** Pause before a lost balancer is asked again, in ms. Default 500. */
  readonly retryMs?: number;
  /** How long the first list waits for all balancers, in ms. Default 1000. */
  readonly firstWaitMs?: number;
}

export function createReplicaFeed({
  balancers,
  maxFollowers,
  sourceIntervalMs = 100,
  retryMs = 500,
  firstWaitMs = 1000,
}: ReplicaFeedOptions): ReplicaFeed {
  const listings = new Map<string, Listing>();
  /** Balancers that have answered or failed since the streams began. */
  const heardOf = new Set<string>();
  const followers = new Set<() => void>();
  let version = 0;
  let isClosed = false;
  let running: AbortController | undefined;

  const changed = () => {
    version++;
    for (const wake of followers) wake();
  };

  async function watch(address: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        for await (const listing of balancers.watch(address, sourceIntervalMs, signal)) {
          if (signal.aborted) return;
          listings.set(address, listing);
          heardOf.add(address);
          changed();
        }
      } catch {
        // Lost: that shows in the list.
      }
      if (signal.aborted) return;
      heardOf.add(address);
      listings.delete(address);
      changed();
      await sleep(retryMs, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  const hasHeardAll = () => [...balancers.addresses.current].every((address) => heardOf.has(address));

  function start(): void {
    if (running !== undefined) return;
    const ending = new AbortController();
    running = ending;
    const leaving = new Map<string, AbortController>();
    const unfollow = balancers.addresses.follow(
      (address) => {
        const gone = new AbortController();
        leaving.set(address, gone);
        void watch(address, AbortSignal.any([ending.signal, gone.signal]));
      },
      (address) => {
        leaving.get(address)?.abort();
        leaving.delete(address);
        listings.delete(address);
        heardOf.delete(address);
        changed();
      },
    );
    ending.signal.addEventListener('abort', unfollow);
  }

  function stopIfUnused(): void {
    if (followers.size > 0 || running === undefined) return;
    running.abort(new MeshError('CANCELLED', 'nobody follows the replicas any more'));
    running = undefined;
    listings.clear();
    heardOf.clear();
  }

  return {
    async *follow(minIntervalMs, signal) {
      if (isClosed) throw new MeshError('SHUTTING_DOWN', 'the gateway is stopping');
      if (followers.size >= maxFollowers) {
        throw new MeshError('OVERLOADED', `${maxFollowers} clients follow the replicas already`, {
          metadata: { limit: 'MAX_WATCHERS' },
        });
      }
      let wake = () => {};
      const onChange = () => wake();
      followers.add(onChange);
      signal.addEventListener('abort', onChange);
      start();
      const isOver = () => signal.aborted || isClosed;
      const nextChange = (timeoutMs?: number) =>
        new Promise<void>((resolve) => {
          const timer = timeoutMs === undefined ? undefined : setTimeout(resolve, timeoutMs);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      try {
        const firstByMs = performance.now() + firstWaitMs;
        while (!isOver() && !hasHeardAll() && performance.now() < firstByMs) {
          await nextChange(firstByMs - performance.now());
        }
        for (let seen = -1; !isOver(); ) {
          if (seen === version) {
            await nextChange();
            continue;
          }
          seen = version;
          yield mergeListings([...listings.values()]);
          const nextMs = performance.now() + minIntervalMs;
          while (!isOver() && performance.now() < nextMs) await nextChange(nextMs - performance.now());
        }
        if (isClosed && !signal.aborted) throw new MeshError('SHUTTING_DOWN', 'the gateway is stopping');
      } finally {
        followers.delete(onChange);
        signal.removeEventListener('abort', onChange);
        stopIfUnused();
      }
    },

    close() {
      isClosed = true;
      changed();
      running?.abort(new MeshError('SHUTTING_DOWN', 'the gateway is stopping'));
    },
  };
}
