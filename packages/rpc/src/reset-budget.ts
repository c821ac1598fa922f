/**
 * How many streams of one HTTP/2 connection a client may reset.
 *
 * nghttp2 servers end a connection that resets about 1,000 streams in a burst, or 33 a second for long (the guard
 * against CVE-2023-44487). A session that has spent its budget retires: new calls go to a new session, those in flight,
 * at most 256, finish on the old one, and even if all of them are reset it stays under the guard.
 */
export interface ResetBudgetOptions {
  /** Resets in a burst; default 500. */
  readonly burst?: number;
  /** Resets regained a second; default 30. */
  readonly perSecond?: number;
}

export class ResetBudget {
  readonly #burst: number;
  readonly #perMs: number;
  #left: number;
  #atMs: number;

  constructor({ burst = 500, perSecond = 30 }: ResetBudgetOptions, nowMs: number) {
    this.#burst = burst;
    this.#perMs = perSecond / 1000;
    this.#left = burst;
    this.#atMs = nowMs;
  }

  /** Counts one reset; whether there is budget for another. */
  spend(nowMs: number): boolean {
    this.#left = Math.min(this.#burst, this.#left + (nowMs - this.#atMs) * this.#perMs) - 1;
    this.#atMs = nowMs;
    return this.#left >= 1;
  }
}
