/** A share of the calls, and some on top, so that what is done twice stays little when a fleet fails or slows as a whole. */
export class Budget {
  readonly #share: number;
  readonly #most: number;
  #tokens: number;

  /** It begins with `most`, and never has more; each call earns `share`. */
  constructor({ share, most }: { readonly share: number; readonly most: number }) {
    this.#share = share;
    this.#most = most;
    this.#tokens = most;
  }

  /** A call came. */
  earn(): void {
    this.#tokens = Math.min(this.#most, this.#tokens + this.#share);
  }

  get isLeft(): boolean {
    return this.#tokens >= 1;
  }

  spend(): void {
    this.#tokens -= 1;
  }
}

/** Retries of answered errors: a fifth of the calls, and a hundred on top. Lost work is retried without it. */
export const retryBudget = (): Budget => new Budget({ share: 0.2, most: 100 });

/** Second runs of overdue calls: 3 %, and 20 on top. */
export const hedgeBudget = (): Budget => new Budget({ share: 0.03, most: 20 });
