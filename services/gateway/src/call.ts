/** What the gateway knows about a call, whichever protocol it came by. */
import type { TraceContext } from '@imagemesh/observe';
import { createCallSignal, type Deadline, deadlineIn, earlier } from '@imagemesh/rpc';
import type { Caller } from './identity/caller.ts';
import type { MemoryBudget } from './memory-budget.ts';

/** A call as it comes in: its body may still be arriving. */
export interface IncomingCall {
  readonly requestId: string;
  readonly trace: TraceContext;
  readonly caller: Caller;
  /** Memory for its body: what its connection has of the whole. */
  readonly budget: MemoryBudget;
  /** Whose images and jobs it sees: the caller's owner. */
  readonly owner: string;
  /** Fires when the caller left or its own deadline passed; the reason is a MeshError. */
  readonly signal: AbortSignal;
  /** The deadline that the client named, if it did. */
  readonly clientDeadline: Deadline | undefined;
}

/** A call whose body is held: the clock of its work runs. */
export interface CallContext {
  readonly requestId: string;
  readonly trace: TraceContext;
  readonly owner: string;
  /** Fires when the caller left or the deadline passed; the reason is a MeshError. */
  readonly signal: AbortSignal;
  /** Set once, here; every hop below only has what is left of it. */
  readonly deadline: Deadline;
  readonly class: 'default' | 'job';
}

export interface DeadlineLimits {
  readonly defaultDeadlineMs: number;
  readonly maxDeadlineMs: number;
}

/**
 * Runs the work of a call under its deadline: the client's, or the default from now on, so that a slow upload does not
 * eat the time for the work; never more than the longest allowed.
 */
export async function withDeadline<Result>(
  call: IncomingCall,
  { defaultDeadlineMs, maxDeadlineMs }: DeadlineLimits,
  work: (context: CallContext) => Promise<Result>,
): Promise<Result> {
  const nowMs = Date.now();
  const wanted = call.clientDeadline ?? deadlineIn(defaultDeadlineMs, nowMs);
  const deadline = earlier(wanted, deadlineIn(maxDeadlineMs, nowMs)) ?? wanted;
  const { requestId, trace, owner } = call;
  const ending = createCallSignal({ deadline, parent: call.signal });
  try {
    ending.signal.throwIfAborted();
    return await work({ requestId, trace, owner, deadline, signal: ending.signal, class: 'default' });
  } finally {
    ending.dispose();
  }
}

/** Waits for a transfer, but not for ever: not after the caller left, and not longer than the time allowed. */
export async function withinTransferTime<Result>(
  parent: AbortSignal,
  timeoutMs: number,
  transfer: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const { signal, dispose } = createCallSignal({ deadline: deadlineIn(timeoutMs), parent });
  let stop: (() => void) | undefined;
  try {
    signal.throwIfAborted();
    const aborted = new Promise<never>((_resolve, reject) => {
      stop = () => reject(signal.reason);
      signal.addEventListener('abort', stop, { once: true });
    });
    return await Promise.race([transfer(signal), aborted]);
  } finally {
    if (stop !== undefined) signal.removeEventListener('abort', stop);
    dispose();
  }
}
