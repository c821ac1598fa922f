/** Keeps the queues, asks `decide` whenever a call or a slot comes, and does what it says. */
import type { WorkerKind } from '@imagemesh/api';
import { MeshError, remainingMs } from '@imagemesh/rpc';
import { earliestEndMs } from './admission.ts';
import { hedgeBudget } from './budget.ts';
import type { ProxiedCall } from './call.ts';
import { canRun, type DispatchState, decide } from './dispatch.ts';
import { hedgePlace } from './hedge.ts';
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
  /** Monotonic, in ms; the clock of the replicas' runs. */
  readonly now: () => number;
}

/** How often waiting calls are looked at again. */
export const PUMP_EVERY_MS = 5;

/** What a refused caller is told to wait. */
const minRetryAfterMs = 100;
const maxRetryAfterMs = 60_000;

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
  readonly #hedgeBudget = hedgeBudget();

  constructor(options: SchedulerOptions, workers: readonly WorkerKind[]) {
    this.#options = options;
    for (const worker of workers) this.#queues.set(worker, new WaitQueue());
  }

  /** Calls that wait. */
  get size(): number {
    return this.#calls.size;
  }

  /**
   * Takes a new call. If it has to wait, throws OVERLOADED where it cannot end before its deadline, QUEUE_FULL where there
   * is no room, and none to be made: a full queue drops its newest sheddable call for one that is not. Jobs are only
   * delayed, whatever their deadline.
   */
  submit(call: ProxiedCall): void {
    this.requeue(call);
    if (!call.isWaiting || call.isAdmitted) return;
    const error = this.#unreachable(call) ?? this.#full();
    if (error === undefined) return;
    const queue = this.#queueOf(call.needs.worker);
    const victim = isSheddable(call) ? undefined : queue.last('sheddable');
    if (error.reason === 'QUEUE_FULL' && victim !== undefined) {
      victim.fail(error);
      return;
    }
    this.withdraw(call);
    throw error;
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

  /** Looks again at all calls: time alone changes what is expected of those that run. */
  pumpAll(): void {
    for (const [worker, queue] of this.#queues) {
      const isIdle =
        queue.size === 0 && this.#options.replicas(worker).every(({ inFlight }) => inFlight === 0);
      if (!isIdle) this.pump(worker);
    }
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
        // There is nothing to wait for: the caller may send the bytes instead.
        if (isOfOtherStore(call, hopeful)) {
          call.fail(storeNotShared(call));
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

  #full(): MeshError | undefined {
    const { maxQueuedCalls, held } = this.#options;
    if (this.#calls.size <= maxQueuedCalls && !held.isFull) return undefined;
    const byBytes = held.isFull;
    return new MeshError(
      'QUEUE_FULL',
      `the balancer's queue is full (${byBytes ? 'bytes held' : 'calls waiting'})`,
      {
        metadata: byBytes ? { limit_bytes: String(held.max) } : { limit_calls: String(maxQueuedCalls) },
      },
    );
  }

  #unreachable(call: ProxiedCall): MeshError | undefined {
    if (call.callClass === 'job') return undefined;
    const state = this.#stateOf(call.needs.worker);
    const endMs = earliestEndMs(call, state);
    const leftMs = remainingMs(call.info.deadline);
    if (endMs === undefined || endMs - state.nowMs <= leftMs) return undefined;
    const expectedMs = Math.round(endMs - state.nowMs);
    return new MeshError(
      'OVERLOADED',
      `the call would end in about ${expectedMs} ms, after its deadline in ${Math.round(leftMs)} ms`,
      {
        metadata: { expected_ms: String(expectedMs), deadline_ms: String(Math.round(leftMs)) },
        retryAfterMs: Math.min(maxRetryAfterMs, Math.max(minRetryAfterMs, expectedMs - leftMs)),
      },
    );
  }

  #stateOf(worker: WorkerKind): FleetState {
    const replicas = this.#options.replicas(worker);
    const typical = typicalSpeed(replicas.map(({ learnedSpeed }) => learnedSpeed));
    for (const replica of replicas) replica.typicalSpeed = typical;
    const spread = typicalSpread(replicas.map((replica) => replica.predictionSpread));
    return { nowMs: this.#options.now(), spread, waiting: this.#queueOf(worker), replicas };
  }

  #pumpOnce(worker: WorkerKind): void {
    const state = this.#stateOf(worker);
    this.#hedge(state);
    if (this.#queueOf(worker).size === 0) return;
    const byKey = new Map(state.replicas.map((replica) => [replica.key, replica]));
    for (const { callId, replicaKey } of decide(state, this.#options.rng)) {
      const call = this.#calls.get(callId);
      const replica = byKey.get(replicaKey);
      // Starting one call can end another, or a replica.
      if (call === undefined || replica === undefined || !replica.isCandidate) continue;
      this.withdraw(call);
      this.#hedgeBudget.earn();
      call.start(replica);
    }
  }

  /** Before waiting calls: those that are overdue have waited longer. */
  #hedge({ nowMs, spread, replicas }: FleetState): void {
    for (const replica of replicas) {
      const { key: replicaKey, hostId } = replica;
      for (const { call, ...run } of replica.running) {
        if (!this.#hedgeBudget.isLeft) return;
        if (!call.isHedgeable) continue;
        const { needs, excluded } = call;
        const question = { ...run, needs, excluded, replicaKey, hostId };
        const place = hedgePlace(question, replicas, nowMs, spread);
        if (place === undefined) continue;
        this.#hedgeBudget.spend();
        call.hedge(place);
      }
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

interface FleetState extends DispatchState {
  readonly replicas: readonly Replica[];
}

function isSheddable({ callClass }: ProxiedCall): boolean {
  return callClass === 'sheddable' || callClass === 'job';
}

/** Whether replicas could run it but for the store that they share with its caller, or do not. */
function isOfOtherStore({ needs }: ProxiedCall, replicas: readonly Replica[]): boolean {
  const { storeId: _, ...anyStore } = needs;
  return (
    needs.storeId !== undefined &&
    replicas.some((replica) => canRun({ ...anyStore, storeId: undefined }, replica))
  );
}

function storeNotShared({ needs: { worker, storeId = '' } }: ProxiedCall): MeshError {
  return new MeshError('STORE_NOT_SHARED', `no ${workerName(worker)} replica shares the store ${storeId}`, {
    metadata: { worker: workerName(worker), store: storeId },
  });
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
