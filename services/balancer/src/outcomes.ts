/** How the last calls of a replica went. */

const windowSize = 100;

export interface OutcomeSummary {
  /** Succeeded over ended; 1 where none ended. */
  readonly successRate: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** A ring of the last 100 calls. */
export class Outcomes {
  readonly #times: number[] = [];
  readonly #successes: boolean[] = [];
  #next = 0;

  add(ms: number, isSuccess: boolean): void {
    this.#times[this.#next] = ms;
    this.#successes[this.#next] = isSuccess;
    this.#next = (this.#next + 1) % windowSize;
  }

  summary(): OutcomeSummary {
    const count = this.#times.length;
    if (count === 0) return { successRate: 1, p50Ms: 0, p99Ms: 0 };
    const sorted = this.#times.toSorted((a, b) => a - b);
    return {
      successRate: this.#successes.filter(Boolean).length / count,
      p50Ms: quantile(sorted, 0.5),
      p99Ms: quantile(sorted, 0.99),
    };
  }
}

/** Nearest rank. */
function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? 0;
}
