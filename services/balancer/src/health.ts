/**
 * What a replica's signs of life say about it. Pure.
 *
 * Ages are by the attentive clock (`attentive-clock.ts`), so that a stall of this process makes nobody dead.
 */

export type ReplicaCondition = 'warming' | 'ready' | 'suspect' | 'ejected' | 'draining' | 'dead';

export interface HealthLimits {
  /** A report older than this: no new work. */
  readonly suspectAfterMs: number;
  /** A report older than this: gone. */
  readonly deadAfterMs: number;
}

export interface SignsOfLife {
  /** Since its last report (or its join). */
  readonly reportAgeMs: number;
  /** Its own word, as in grpc.health.v1. */
  readonly isServing: boolean;
  /** Whether its join stream is open. */
  readonly isJoined: boolean;
  /** Whether a connection to its work service is up. */
  readonly isConnected: boolean;
  readonly isDraining: boolean;
  /** Whether it is kept out for its faults. */
  readonly isEjected: boolean;
  /** Whether a call has succeeded on it since it joined, or since it was let in again. */
  readonly hasSucceeded: boolean;
}

/** A killed replica loses both its connections at once, and is dead at once; a silent one after `deadAfterMs`. */
export function judge(signs: SignsOfLife, { suspectAfterMs, deadAfterMs }: HealthLimits): ReplicaCondition {
  if (!signs.isJoined && !signs.isConnected) return 'dead';
  if (signs.reportAgeMs > deadAfterMs) return 'dead';
  if (signs.isDraining) return 'draining';
  if (!signs.isJoined || !signs.isConnected || !signs.isServing) return 'suspect';
  if (signs.reportAgeMs > suspectAfterMs) return 'suspect';
  if (signs.isEjected) return 'ejected';
  return signs.hasSucceeded ? 'ready' : 'warming';
}
