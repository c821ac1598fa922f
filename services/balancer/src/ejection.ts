/**
 * When a replica that answers, but wrongly, is kept out, and for how long. Pure.
 *
 * A replica that fails at once looks idle and quick, and would draw ever more calls to their failure (a sinkhole). After
 * three faults in a row, or five in the last ten calls, it is out for a second, doubling each time up to thirty; then
 * one call tries it.
 */

const faultsInARow = 3;
const recentCalls = 10;
const recentFaults = 5;
const firstMs = 1000;
const mostMs = 30_000;
/** Successes after which its past is forgotten. */
const goodConduct = 20;

export class Ejection {
  #recent: boolean[] = [];
  #times = 0;
  #successes = 0;
  #untilMs = 0;

  succeeded(): void {
    this.#remember(true);
    this.#successes++;
    if (this.#successes >= goodConduct) this.#times = 0;
  }

  failed(): void {
    this.#remember(false);
    this.#successes = 0;
  }

  /** The last fault was not its own: the call fails everywhere. */
  forgive(): void {
    const at = this.#recent.lastIndexOf(false);
    if (at >= 0) {
      this.#recent.splice(at, 1);
    } else if (this.#times > 0) {
      // It was the one that put the replica out.
      this.#times--;
      this.#untilMs = 0;
    }
  }

  /** Whether it has failed often enough; after an ejection the first fault is. */
  get isDue(): boolean {
    const last = this.#recent.slice(-faultsInARow);
    if (last.includes(true)) return this.#recent.filter((isGood) => !isGood).length >= recentFaults;
    return last.length === faultsInARow || (this.#times > 0 && this.#successes === 0 && last.length > 0);
  }

  /** Keeps it out from now on; `rng` spreads the end by a fifth each way. Returns for how long, in ms. */
  begin(nowMs: number, rng: () => number): number {
    const ms = Math.min(mostMs, firstMs * 2 ** this.#times) * (0.8 + 0.4 * rng());
    this.#times++;
    this.#recent = [];
    this.#untilMs = nowMs + ms;
    return ms;
  }

  isOut(nowMs: number): boolean {
    return nowMs < this.#untilMs;
  }

  #remember(isGood: boolean): void {
    this.#recent = [...this.#recent, isGood].slice(-recentCalls);
  }
}

/** Whether one more of these may be kept out: at least half of the capacity stays. */
export function maySpare(capacity: number, out: number, whole: number): boolean {
  return out + capacity <= whole / 2;
}
