/** Deadlines: set once where a call enters the mesh, carried as grpc-timeout, only ever shrinking. */
import { Code, ConnectError } from '@connectrpc/connect';
import { MeshError } from './errors.ts';

/** When a call must be over. */
export interface Deadline {
  /** ms since the epoch by this process's clock. */
  readonly atMs: number;
}

const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** Longest timer that setTimeout takes; longer deadlines never fire here, which is as good. */
const maxTimerMs = 2 ** 31 - 1;

export function deadlineIn(ms: number, nowMs: number = Date.now()): Deadline {
  return { atMs: nowMs + ms };
}

/** ms left, at least 0. */
export function remainingMs(deadline: Deadline, nowMs: number = Date.now()): number {
  return Math.max(0, deadline.atMs - nowMs);
}

export function earlier(a: Deadline | undefined, b: Deadline | undefined): Deadline | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.atMs <= b.atMs ? a : b;
}

/** ms in a grpc-timeout header; undefined if absent or malformed. */
export function parseGrpcTimeout(header: string | readonly string[] | null | undefined): number | undefined {
  if (typeof header !== 'string') return undefined;
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(header) ?? [];
  return digits === undefined || unit === undefined ? undefined : Number(digits) * (unitMs[unit] ?? 1);
}

/** A grpc-timeout of at most 8 digits; rounded up to whole ms, or to a coarser unit where 8 digits do not do. */
export function formatGrpcTimeout(ms: number): string {
  const left = Math.max(0, Math.ceil(ms));
  if (left < 1e8) return `${left}m`;
  const seconds = Math.ceil(left / 1000);
  return seconds < 1e8 ? `${seconds}S` : `${Math.min(Math.ceil(seconds / 3600), 99_999_999)}H`;
}

export function deadlineExceeded(): MeshError {
  return new MeshError('DEADLINE_EXCEEDED', 'the deadline passed before the call was done');
}

export function cancelled(cause?: unknown): MeshError {
  return new MeshError('CANCELLED', 'the caller gave up', cause === undefined ? {} : { cause });
}

export interface CallSignal {
  /** Its reason is always a MeshError: DEADLINE_EXCEEDED or CANCELLED. */
  readonly signal: AbortSignal;
  /** Ends the call from this side; the reason must be a MeshError. */
  abort(reason: MeshError): void;
  /** Frees timer and listener. Call it in `finally`. */
  dispose(): void;
}

/** One signal that fires at the deadline or when the parent does, whichever is first. */
export function createCallSignal(options: {
  readonly deadline?: Deadline | undefined;
  readonly parent?: AbortSignal | undefined;
}): CallSignal {
  const { deadline, parent } = options;
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const onParent = () => {
    const reason: unknown = parent?.reason;
    if (reason instanceof MeshError) abort(reason);
    else abort(isConnectDeadline(reason) ? deadlineExceeded() : cancelled(reason));
  };
  const dispose = () => {
    clearTimeout(timer);
    parent?.removeEventListener('abort', onParent);
  };
  const abort = (reason: MeshError) => {
    dispose();
    controller.abort(reason);
  };
  if (parent?.aborted === true) {
    onParent();
    return { signal: controller.signal, abort, dispose };
  }
  parent?.addEventListener('abort', onParent, { once: true });
  if (deadline !== undefined) {
    const leftMs = remainingMs(deadline);
    if (leftMs === 0) abort(deadlineExceeded());
    else if (leftMs <= maxTimerMs) timer = setTimeout(() => abort(deadlineExceeded()), leftMs);
  }
  return { signal: controller.signal, abort, dispose };
}

/** Connect has a timer of its own for the same deadline; either may be first. */
function isConnectDeadline(reason: unknown): boolean {
  return reason instanceof ConnectError && reason.code === Code.DeadlineExceeded;
}
