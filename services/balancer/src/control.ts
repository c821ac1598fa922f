/** BalancerService: Join, ListReplicas, WatchReplicas, DrainReplica. */
import { setTimeout as sleep } from 'node:timers/promises';
import { BalancerService, WorkerKind } from '@imagemesh/api';
import { type ConnectRouter, MeshError } from '@imagemesh/rpc';
import { type JoinOptions, join } from './join.ts';
import type { Scheduler } from './scheduler.ts';
import { queueMessages, replicaMessages } from './status.ts';

export interface ControlOptions extends JoinOptions {
  readonly scheduler: Scheduler;
}

export interface Control {
  routes(router: ConnectRouter): void;
  /** Ends the watches. */
  close(): void;
}

const defaultWatchIntervalMs = 1000;
/** WatchReplicas streams at once. */
const maxWatches = 64;

export function createControl(options: ControlOptions): Control {
  const { fleet, scheduler, balancerId } = options;
  const closing = new AbortController();
  let watches = 0;

  const list = (worker: WorkerKind) => {
    const isAsked = (of: { readonly worker: WorkerKind }) =>
      worker === WorkerKind.UNSPECIFIED || of.worker === worker;
    const listed = fleet.listed();
    return {
      replicas: replicaMessages(listed, balancerId).filter(isAsked),
      queues: queueMessages(scheduler.queueStates(), listed, balancerId).filter(isAsked),
    };
  };

  async function* watch(intervalMs: number, signal: AbortSignal) {
    if (watches >= maxWatches) throw new MeshError('OVERLOADED', `there are ${maxWatches} watches already`);
    watches++;
    const ending = AbortSignal.any([signal, closing.signal]);
    try {
      while (!ending.aborted) {
        // With reports every 250 ms the list has always changed by the next turn.
        yield list(WorkerKind.UNSPECIFIED);
        await sleep(intervalMs, undefined, { signal: ending }).catch(() => {});
      }
    } finally {
      watches--;
    }
  }

  return {
    routes: (router) => {
      router.service(BalancerService, {
        join: (requests, context) => join(requests, context.signal, options),
        listReplicas: ({ worker }) => list(worker),
        watchReplicas: ({ minIntervalMs }, context) =>
          watch(minIntervalMs || defaultWatchIntervalMs, context.signal),
        drainReplica: ({ replicaId, reason }) => {
          const replica = fleet.drain(replicaId, reason);
          return {
            replica: replicaMessages(fleet.listed(), balancerId).find(
              (each) => each.replicaId === replica.id,
            ),
          };
        },
      });
    },
    close: () => closing.abort(),
  };
}
