/**
 * When a running call is also given to a second replica, and to which. Pure.
 *
 * A replica that stands still, or accepts calls and never answers, holds them up to their deadline. What a call takes is
 * predicted, so that it shows early: a call that is far over is run a second time where a slot is idle, and the first whole
 * reply counts. Dean and Barroso (The Tail at Scale, 2013) do so after the 95th percentile of all calls; here it is by
 * what this one should take, so that far fewer are run twice. Each call at most once, and a budget for all, or a fleet
 * that is slow as a whole would work double.
 */
import { canRun, type Needs, overrunRest, placeOf, type ReplicaView } from './dispatch.ts';

export interface OverdueQuestion {
  readonly startedMs: number;
  /** What it should have taken, as expected when it started. */
  readonly predictedMs: number;
}

export interface HedgeQuestion extends OverdueQuestion {
  readonly costMs: number;
  readonly needs: Needs;
  readonly excluded: ReadonlySet<number>;
  /** Where it runs. */
  readonly replicaKey: number;
  readonly hostId: string;
}

export interface HedgeView extends ReplicaView {
  readonly hostId: string;
}

/** At least so many times the prediction, and so many ms more. */
const leastFactor = 2;
const leastMs = 30;
/** Standard deviations of what predictions are off. */
const deviations = 3;

/** Where predictions are off by more than a factor of two as a rule, time tells nothing. */
const mostSpread = 0.7;

/** Whether it has taken so long that something is wrong with its replica. */
export function isOverdue(
  { startedMs, predictedMs }: OverdueQuestion,
  nowMs: number,
  spread: number,
): boolean {
  if (spread > mostSpread) return false;
  const factor = Math.max(leastFactor, Math.exp(deviations * spread));
  return nowMs - startedMs > Math.max(factor * predictedMs, predictedMs + leastMs);
}

/**
 * Where to run it a second time: where a slot is idle and it would end before it is expected to where it runs; on another
 * host if there is such a place. Undefined: nowhere, or it is not overdue.
 */
export function hedgePlace<View extends HedgeView>(
  run: HedgeQuestion,
  replicas: readonly View[],
  nowMs: number,
  spread: number,
): View | undefined {
  if (!isOverdue(run, nowMs, spread)) return undefined;
  const restMs = overrunRest * (nowMs - run.startedMs);
  let best: View | undefined;
  let bestRank = Number.POSITIVE_INFINITY;
  for (const view of replicas) {
    if (!view.isCandidate || view.key === run.replicaKey || run.excluded.has(view.key)) continue;
    if (view.isRunningAlone || view.inFlight >= view.credits || !canRun(run.needs, view)) continue;
    const takesMs = run.costMs / placeOf(view, nowMs, spread).speed;
    if (takesMs >= restMs) continue;
    const rank = takesMs + (view.hostId === run.hostId ? sameHostMs : 0);
    if (rank < bestRank) [best, bestRank] = [view, rank];
  }
  return best;
}

/** Any other host comes before the same one. */
const sameHostMs = 1e9;
