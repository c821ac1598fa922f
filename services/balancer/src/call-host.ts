/** What a call needs of its surroundings, and what it tells them. */
import type { Budget } from './budget.ts';
import type { ProxiedCall } from './call.ts';
import type { CallInfo } from './call-info.ts';
import type { CostModel } from './cost-model.ts';
import type { HeldReply } from './held-reply.ts';
import type { Replica } from './replica.ts';
import type { Failure } from './retry.ts';

/** What became of a call, for the log and the metrics. */
export interface CallOutcome {
  readonly info: CallInfo;
  /** gRPC code: 0 for OK. */
  readonly grpcStatus: number;
  readonly reason: string | undefined;
  readonly message: string | undefined;
  readonly replicaId: string | undefined;
  /** How often it was given to a replica. */
  readonly attempts: number;
  readonly queueMs: number;
  readonly ms: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
}

/** `won`: the second run answered first; `lost`: the first one did, or the second failed. */
export type HedgeOutcome = 'won' | 'lost';

/** What a call needs of its surroundings. */
export interface CallHost {
  readonly balancerId: string;
  readonly maxAttempts: number;
  readonly costs: CostModel;
  /** Where an attempt's reply is held back; nowhere if it is not to be. */
  holdReply(isHeld: boolean): HeldReply;
  readonly retryBudget: Budget;
  /** A connection to that replica broke under a call, before its slot is told free. */
  onDied(replica: Replica): void;
  /** A fault of that replica turned out to be the call's. */
  forgive(replica: Replica): void;
  /** Puts it (back) into the queue, where it finds its place by `order`; throws MeshError QUEUE_FULL. */
  enqueue(call: ProxiedCall, why: 'new' | Failure): void;
  withdraw(call: ProxiedCall): void;
  /** A slot is free. */
  slotFreed(replica: Replica): void;
  onStart(call: ProxiedCall, waitedMs: number): void;
  /** It succeeded on a replica that was thought to be of that speed, which worked so long. */
  onWorked(call: ProxiedCall, execMs: number, speed: number): void;
  /** Of two runs of a call one is over and the other goes on, or has won. */
  onHedge(call: ProxiedCall, outcome: HedgeOutcome): void;
  /** The status is decided; the caller may still be fetching the reply. */
  onEnd(outcome: CallOutcome): void;
  /** The caller's stream is closed. */
  onGone(call: ProxiedCall): void;
  /** Monotonic, in ms. */
  now(): number;
}
