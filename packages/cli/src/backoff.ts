/** How long to wait before a crashed process starts again. */

export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  /** A process that lived this long has recovered: the next wait is the first again. */
  readonly healthyMs: number;
}

export const RESTART_BACKOFF: BackoffOptions = { firstMs: 200, maxMs: 5000, healthyMs: 30_000 };

export interface Backoff {
  /** The wait in ms after a life of `livedMs`: doubling up to the maximum, then 75 to 100 % of it by `random`. */
  next(livedMs: number): number;
}

/** `random` gives numbers in [0, 1), so that processes that died together do not come back together. */
export function createBackoff(options: BackoffOptions, random: () => number): Backoff {
  let attempts = 0;
  return {
    next(livedMs) {
      if (livedMs >= options.healthyMs) attempts = 0;
      const fullMs = Math.min(options.maxMs, options.firstMs * 2 ** Math.min(attempts, 30));
      attempts += 1;
      return Math.round(fullMs * (0.75 + 0.25 * random()));
    },
  };
}
