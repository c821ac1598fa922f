/**
 * A token bucket that may go into debt: a cost is let in while the bucket holds one unit, and taken whole. So an image
 * that is larger than the bucket comes through, and those after it wait until it is paid for. Pure: the clock is an argument.
 */
export interface TokenBucket {
  /** How long until a cost is let in, in ms; 0 if one is now. */
  waitMs(nowMs: number): number;
  /** Takes the cost. */
  take(cost: number, nowMs: number): void;
}

/** Full at first. */
export function createTokenBucket(
  { perSecond, capacity }: { readonly perSecond: number; readonly capacity: number },
  startMs: number,
): TokenBucket {
  let level = capacity;
  let atMs = startMs;
  const fill = (nowMs: number) => {
    if (nowMs <= atMs) return;
    level = Math.min(capacity, level + ((nowMs - atMs) / 1000) * perSecond);
    atMs = nowMs;
  };
  return {
    waitMs(nowMs) {
      fill(nowMs);
      return level >= 1 ? 0 : Math.ceil(((1 - level) / perSecond) * 1000);
    },
    take(cost, nowMs) {
      fill(nowMs);
      level -= cost;
    },
  };
}
