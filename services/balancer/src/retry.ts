/**
 * What to do when a replica did not answer a call, or answered that it did not run it. Pure.
 *
 * A call may run again while nothing of a reply has reached the caller and its body is still here to send again. A
 * connection that refused the call before the replica saw it allows that for any method; one that broke later only for
 * methods that the replica declared idempotent. This is the one place of the mesh that retries a stage (with the
 * gateway, which re-sends when a whole balancer is lost).
 */

/** How an attempt ended without a reply to pass on. */
export type Failure =
  /** Its connection broke: the replica most likely died. */
  | 'died'
  /** The stream was reset, or ended without a status. */
  | 'reset'
  /** The replica never saw it: REFUSED_STREAM, GOAWAY, no connection. */
  | 'refused'
  /** It answered that it could not: UNKNOWN, INTERNAL, UNAVAILABLE, DATA_LOSS. */
  | 'errored'
  /** It answered REPLICA_BUSY: no slot was free there. */
  | 'busy'
  /** It answered REPLICA_STOPPING: it is leaving. */
  | 'stopping';

export interface RetryQuestion {
  readonly failure: Failure;
  /** Attempts that failed so far, this one included; BUSY ones not counted. */
  readonly failedAttempts: number;
  readonly maxAttempts: number;
  /** Replicas that answered it with an error; two, and it is the call's own. */
  readonly erroredOn: number;
  /** Whether answered errors may still be retried: a fleet that fails as a whole is not asked three times as much. */
  readonly isInBudget: boolean;
  readonly isIdempotent: boolean;
  /** Whether the whole body so far is still held. */
  readonly isReplayable: boolean;
  /** Whether bytes of a reply have gone to the caller. */
  readonly isCommitted: boolean;
}

/** `again`: back to the head of the queue. `give-up`: tell the caller. */
export function afterFailure(question: RetryQuestion): 'again' | 'give-up' {
  const { failure, failedAttempts, maxAttempts, isIdempotent, isReplayable, isCommitted } = question;
  const { erroredOn, isInBudget } = question;
  if (isCommitted || !isReplayable) return 'give-up';
  switch (failure) {
    case 'busy':
      return 'again';
    case 'refused':
    case 'stopping':
      return failedAttempts < maxAttempts ? 'again' : 'give-up';
    case 'died':
    case 'reset':
      return isIdempotent && failedAttempts < maxAttempts ? 'again' : 'give-up';
    case 'errored':
      return isIdempotent && erroredOn < 2 && isInBudget && failedAttempts < maxAttempts
        ? 'again'
        : 'give-up';
    default: {
      const unknown: never = failure;
      return unknown;
    }
  }
}

/** How long to keep a replica out after it said BUSY so many times in a row: 2 ms doubling to 64. `rng` spreads by a half. */
export function busyPauseMs(timesInARow: number, rng: () => number): number {
  return Math.min(64, 2 ** Math.min(timesInARow, 6)) * (0.75 + rng() / 2);
}
