/**
 * How fast a replica is, in reference-ms of work it does in a ms, learned from the calls that succeeded on it. Pure.
 *
 * An estimate ages: as long as nothing new is learned it moves towards what is typical of its kind, so that a replica
 * that was slow once is tried again. Only successes teach: answering errors at once makes nobody fast.
 */

/** Share of a new sample where predictions are good: the last dozen calls or so count; down to half of it where they are not. */
const gain = 0.15;

/** Share of a new sample in how far predictions are off. */
const spreadGain = 0.05;

/** Standard deviation of the logarithm of predicted over true work, where nothing is known. */
export const usualSpread = 0.15;

/** One sample moves the estimate as if it had been at most so many times off. */
const maxSurprise = 8;

const halfLifeMs = 10_000;

const firstLateHalfLifeMs = 300;
const mostLateHalfLifeMs = 30_000;

export class Speed {
  #logSpeed: number | undefined;
  #samples = 0;
  #variance = usualSpread ** 2;
  #learnedAtMs = 0;
  /** What calls that did not end in time say, as long as none does. */
  #late: { readonly logSpeed: number; readonly atMs: number; readonly times: number } | undefined;

  /** What was learned last, as it was then; undefined: nothing. */
  get learned(): number | undefined {
    return this.#logSpeed === undefined ? undefined : Math.exp(this.#logSpeed);
  }

  /** The replica's own word, where nothing is known: worth one call. */
  begin(speed: number, nowMs: number): void {
    if (this.#logSpeed !== undefined || !(speed > 0 && Number.isFinite(speed))) return;
    this.#logSpeed = Math.log(speed);
    this.#samples = 1;
    this.#learnedAtMs = nowMs;
  }

  /** A call of that predicted work took so long. */
  learn(costMs: number, execMs: number, nowMs: number): void {
    if (!(costMs > 0 && execMs > 0 && Number.isFinite(costMs) && Number.isFinite(execMs))) return;
    const sample = Math.log(costMs / execMs);
    this.#samples++;
    this.#late = undefined;
    this.#learnedAtMs = nowMs;
    if (this.#logSpeed === undefined) {
      this.#logSpeed = sample;
      return;
    }
    const limit = Math.log(maxSurprise);
    const surprise = Math.min(limit, Math.max(-limit, sample - this.#logSpeed));
    this.#variance += spreadGain * (surprise ** 2 - this.#variance);
    this.#logSpeed += Math.max(gain / (1 + Math.min(1, this.#variance)), 1 / this.#samples) * surprise;
  }

  /**
   * A call of that predicted work was still running after so long. That holds until the next success, and fades: at first its
   * half-life is 0.3 s, and double that each time that no success came between.
   */
  learnAtMost(costMs: number, elapsedMs: number, nowMs: number): void {
    if (!(costMs > 0 && elapsedMs > 0)) return;
    const times = (this.#late?.times ?? 0) + 1;
    this.#late = { logSpeed: Math.log(costMs / elapsedMs), atMs: nowMs, times };
  }

  /** How far predictions are off: standard deviation of the logarithm; undefined: nothing was learned. */
  get spread(): number | undefined {
    return this.#logSpeed === undefined ? undefined : Math.sqrt(this.#variance);
  }

  /** The estimate now, where `typical` is the speed of its kind; that too for one that nothing is known of. */
  at(nowMs: number, typical: number): number {
    const logTypical = Math.log(typical);
    const freshness = halved(nowMs - this.#learnedAtMs, halfLifeMs);
    const log = freshness * (this.#logSpeed ?? logTypical) + (1 - freshness) * logTypical;
    if (this.#late === undefined) return Math.exp(log);
    const { logSpeed, atMs, times } = this.#late;
    const lateness = halved(
      nowMs - atMs,
      Math.min(mostLateHalfLifeMs, firstLateHalfLifeMs * 2 ** (times - 1)),
    );
    return Math.exp(Math.min(log, lateness * logSpeed + (1 - lateness) * log));
  }
}

function halved(ms: number, halfLife: number): number {
  return 0.5 ** (Math.max(0, ms) / halfLife);
}

/** Geometric mean of what was learned; 1 where nothing was. */
export function typicalSpeed(learned: Iterable<number | undefined>): number {
  let sum = 0;
  let count = 0;
  for (const speed of learned) {
    if (speed === undefined) continue;
    sum += Math.log(speed);
    count++;
  }
  return count === 0 ? 1 : Math.exp(sum / count);
}

/** Median of what was learned: a replica that has become slow does not make all predictions bad. */
export function typicalSpread(learned: Iterable<number | undefined>): number {
  const known = [...learned].filter((spread) => spread !== undefined).sort((a, b) => a - b);
  return known[known.length >> 1] ?? usualSpread;
}
