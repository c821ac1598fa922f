/** What becomes of a job whose run failed. Pure. */
import type { ErrorCode, ErrorReason, MeshError } from '@imagemesh/rpc';

export type AfterFailure =
  | { readonly kind: 'fail' }
  /** `isAttempt`: it counts towards the limit of attempts. */
  | { readonly kind: 'again'; readonly delayMs: number; readonly isAttempt: boolean };

export interface JobHistory {
  /** Attempts so far, the failed one included. */
  readonly attempts: number;
  /** Times in a row that it was put off for want of capacity. */
  readonly waits: number;
  /** Time since the job was created. */
  readonly ageMs: number;
}

export const maxAttempts = 5;
/** A job that finds no capacity for this long fails with the last refusal. */
export const maxWaitMs = 3_600_000;

const firstDelayMs = 1000;
const maxDelayMs = 30_000;

/** Nothing was tried: whoever was to do it was full, stopping or not there. */
const notTried: ReadonlySet<ErrorReason> = new Set([
  'QUEUE_FULL',
  'OVERLOADED',
  'REPLICA_BUSY',
  'NO_REPLICA',
  'REPLICA_STOPPING',
  'BALANCER_UNREACHABLE',
  'STORE_FULL',
  'NATS_UNAVAILABLE',
  'SHUTTING_DOWN',
]);

/** Codes of failures that another attempt may not meet. */
const transient: ReadonlySet<ErrorCode> = new Set([
  'unavailable',
  'resource_exhausted',
  'deadline_exceeded',
  'aborted',
  'internal',
  'unknown',
]);

/** Reasons of transient codes that are about the request itself. */
const futile: ReadonlySet<ErrorReason> = new Set([
  'BODY_TOO_LARGE',
  'TOO_MANY_PIXELS',
  'OUTPUT_TOO_LARGE',
  'RESULT_TOO_LARGE',
]);

export function afterFailure(
  { code, reason, metadata }: MeshError,
  { attempts, waits, ageMs }: JobHistory,
): AfterFailure {
  // A replica that died with it did try.
  if (notTried.has(reason) && metadata.deaths === undefined) {
    return ageMs > maxWaitMs
      ? { kind: 'fail' }
      : { kind: 'again', delayMs: backoffMs(waits), isAttempt: false };
  }
  if (!transient.has(code) || futile.has(reason) || attempts >= maxAttempts) return { kind: 'fail' };
  return { kind: 'again', delayMs: backoffMs(attempts - 1), isAttempt: true };
}

/** 1 s, 2 s, 4 s … 30 s. */
function backoffMs(before: number): number {
  return Math.min(maxDelayMs, firstDelayMs * 2 ** Math.min(before, 16));
}
