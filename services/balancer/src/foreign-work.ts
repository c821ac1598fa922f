/**
 * What a replica does for other balancers, as it said with its last answer. Pure.
 *
 * Nobody tells when that ends, so it counts for as long as calls take there on the average, then not at all: to be told
 * BUSY costs less than to leave a slot idle.
 */
export class ForeignWork {
  #calls = 0;
  #untilMs = 0;
  #meanMs = 0;

  /** It runs so many calls of other balancers. */
  heard(calls: number, nowMs: number): void {
    this.#calls = Number.isSafeInteger(calls) && calls > 0 ? calls : 0;
    this.#untilMs = nowMs + this.#meanMs;
  }

  /** A call took so long there. */
  worked(execMs: number): void {
    this.#meanMs = this.#meanMs === 0 ? execMs : this.#meanMs + meanGain * (execMs - this.#meanMs);
  }

  /** Slots taken now. */
  at(nowMs: number): number {
    return nowMs < this.#untilMs ? this.#calls : 0;
  }
}

const meanGain = 0.1;
