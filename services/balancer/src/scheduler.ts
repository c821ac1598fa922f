/** Keeps the queues, asks `decide` whenever a call or a slot comes, and does what it says. */
import type { WorkerKind } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import type { ProxiedCall } from './call.ts';
import { canRun, decide } from './dispatch.ts';
import type { Replica } from './replica.ts';
import type { HeldBytes } from './request-body.ts';
import { workerName } from './routes.ts';
import { typicalSpeed, typicalSpread } from './speed.ts';
import { WaitQueue } from './wait-queue.ts';

export interface SchedulerOptions {
  /** Those that joined and are not dead. */
  readonly replicas: (worker: WorkerKind) => readonly Replica[];
  readonly held: HeldBytes;
  /** Calls waiting in all. */
  readonly maxQueuedCalls: number;
  /** How long a call waits for a replica that can run it to appear. */
  readonly noReplicaGraceMs: number;
  /** Uniform in [0, 1). */
  readonly rng: () => number;
}

/** How often waiting calls are looked at again. */
export const PUMP_EVERY_MS = 5;

export interface QueueState {
  readonly worker: WorkerKind;
  readonly queued: number;
  readonly queuedCostMs: number;
}

export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #queues = new Map<WorkerKind, WaitQueue<ProxiedCall>>();
  readonly #calls = new Map<number, ProxiedCall>();
  readonly #pumping = new Set<WorkerKind>();
  readonly #pumpAgain = new Set<WorkerKind>();

  constructor(options: SchedulerOptions, workers: readonly WorkerKind[]) {
    this.#options = options;
    for (const worker of workers) this.#queues.set(worker, new WaitQueue());
  }

  /** Calls that wait. */
  get size(): number {
    return this.#calls.size;
  }

  /** Takes a new call; throws QUEUE_FULL if it would have to wait and there is no room for that. */
  submit(call: ProxiedCall): void {
    this.requeue(call);
    const { maxQueuedCalls, held } = this.#options;
    if (!call.isWaiting || (this.#calls.size <= maxQueuedCalls && !held.isFull)) return;
    this.withdraw(call);
    const byBytes = held.isFull;
    throw new MeshError(
      'QUEUE_FULL',
      `the balancer's queue is full (${byBytes ? 'bytes held' : 'calls waiting'})`,
      {
        metadata: byBytes ? { limit_bytes: String(held.max) } : { limit_calls: String(maxQueuedCalls) },
      },
    );
  }

  /** Takes a call that has run, at its old place; it has been admitted and is never refused. */
  requeue(call: ProxiedCall): void {
    this.#queueOf(call.needs.worker).add(call);
    this.#calls.set(call.id, call);
    this.pump(call.needs.worker);
  }

  withdraw(call: ProxiedCall): void {
    if (this.#calls.delete(call.id)) this.#queueOf(call.needs.worker).remove(call);
  }

  /** Gives waiting calls to free slots. Starting one may fail it at once and queue it again: then another round. */
  pump(worker: WorkerKind): void {
    this.#pumpAgain.add(worker);
    if (this.#pumping.has(worker)) return;
    this.#pumping.add(worker);
    try {
      while (this.#pumpAgain.delete(worker)) this.#pumpOnce(worker);
    } finally {
      this.#pumping.delete(worker);
    }
  }

  /** Looks again at the calls that wait: time alone changes what is expected of running calls. */
  pumpWaiting(): void {
    for (const [worker, queue] of this.#queues) if (queue.size > 0) this.pump(worker);
  }

  /** Fails calls that nobody could run for the whole grace. Call it often while calls wait. */
  failStranded(nowMs: number): void {
    for (const [worker, queue] of this.#queues) {
      if (queue.size === 0) continue;
      const hopeful = this.#options.replicas(worker).filter((replica) => replica.isHopeful);
      for (const call of [...queue]) {
        if (hopeful.some((replica) => canRun(call.needs, replica))) {
          call.strandedSinceMs = undefined;
          continue;
        }
        call.strandedSinceMs ??= nowMs;
        if (nowMs - call.strandedSinceMs >= this.#options.noReplicaGraceMs) call.fail(noReplica(call));
      }
    }
  }

  queueStates(): readonly QueueState[] {
    return [...this.#queues].map(([worker, queue]) => ({
      worker,
      queued: queue.size,
      queuedCostMs: queue.costMs,
    }));
  }

  #pumpOnce(worker: WorkerKind): void {
    const queue = this.#queueOf(worker);
    if (queue.size === 0) return;
    const replicas = this.#options.replicas(worker);
    const typical = typicalSpeed(replicas.map(({ learnedSpeed }) => learnedSpeed));
    for (const replica of replicas) replica.typicalSpeed = typical;
    const spread = typicalSpread(replicas.map((replica) => replica.predictionSpread));
    const nowMs = performance.now();
    const byKey = new Map(replicas.map((replica) => [replica.key, replica]));
    for (const { callId, replicaKey } of decide(
      { nowMs, spread, waiting: queue, replicas },
      this.#options.rng,
    )) {
      const call = this.#calls.get(callId);
      const replica = byKey.get(replicaKey);
      // Starting one call can end another, or a replica.
      if (call === undefined || replica === undefined || !replica.isCandidate) continue;
      this.withdraw(call);
      call.start(replica);
    }
  }

  #queueOf(worker: WorkerKind): WaitQueue<ProxiedCall> {
    let queue = this.#queues.get(worker);
    if (queue === undefined) {
      queue = new WaitQueue();
      this.#queues.set(worker, queue);
    }
    return queue;
  }
}

function noReplica(call: ProxiedCall): MeshError {
  const { worker, operations, storeId } = call.needs;
  const what = [
    `no ${workerName(worker)} replica is there`,
    operations.length === 0 ? '' : ` that knows ${operations.join(', ')}`,
    storeId === undefined ? '' : `${operations.length === 0 ? ' that' : ' and'} shares the store ${storeId}`,
    call.lastFailure === undefined ? '' : ` (${call.lastFailure})`,
  ].join('');
  return new MeshError('NO_REPLICA', what, {
    metadata: {
      worker: workerName(worker),
      ...(operations.length > 0 && { operations: operations.join(',') }),
    },
  });
}
