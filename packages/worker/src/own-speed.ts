/**
 * How fast this replica has been, by the predictions that came with its calls: what it tells a balancer that joins it for the
 * first time, or again after a restart, and would otherwise know nothing of it. Pure.
 */
export interface OwnSpeed {
  /** Reference-ms of work done in a ms, over the last some twenty calls; 0: no call has told. */
  readonly value: number;
  /** A call of that predicted work (IM_COST) took so long. */
  worked(costMs: number, execMs: number): void;
}

/** Share of a new call. */
const gain = 0.1;

export function createOwnSpeed(): OwnSpeed {
  let logSpeed: number | undefined;
  return {
    get value() {
      return logSpeed === undefined ? 0 : Math.exp(logSpeed);
    },
    worked(costMs, execMs) {
      if (!(costMs > 0 && execMs > 0 && Number.isFinite(costMs) && Number.isFinite(execMs))) return;
      const sample = Math.log(costMs / execMs);
      logSpeed = logSpeed === undefined ? sample : logSpeed + gain * (sample - logSpeed);
    },
  };
}
