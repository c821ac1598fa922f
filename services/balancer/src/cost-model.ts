/**
 * What calls will take, corrected by what calls of their kind took. Pure.
 *
 * The sender says what it expects, by a linear model with one constant for each thing done; that is off by a factor that is
 * about the same for calls of the same operations, formats and size. The factor is learned from the time that replicas
 * report, times their speed. A call that says nothing counts as 20 ms at first, then as what its kind takes.
 *
 * Factors and speeds are known only up to a common factor: twice the work on replicas of twice the speed looks the same. So the
 * factors are held at 1 on the average of the calls, and the speeds take the rest.
 */

/** Share of a new sample, after the first ten. */
const gain = 0.1;
/** The first samples count as if so many had shown what was said to be right. */
const trust = 2;
/** Share of a new factor in their average. */
const averageGain = 0.01;
/** One sample is taken for at most so many times off. */
const maxFactor = 20;
const maxKinds = 1000;

/** For calls that say nothing and of whose kind nothing is known: about a 2-megapixel resize. */
const unknownCostMs = 20;

export interface CostQuestion {
  /** Method, operations and formats: what calls have in common whose cost is alike. */
  readonly kind: string;
  /** What the sender expects, in ms of a reference core; undefined where it says nothing. */
  readonly saidMs: number | undefined;
}

interface Known {
  logFactor: number;
  samples: number;
}

export class CostModel {
  /** The least recently learned of comes first. */
  readonly #known = new Map<string, Known>();
  #averageLog = 0;

  /** In ms of a reference core. */
  estimate(question: CostQuestion): number {
    const logFactor = this.#known.get(keyOf(question))?.logFactor;
    const saidMs = question.saidMs ?? unknownCostMs;
    return logFactor === undefined ? saidMs : saidMs * Math.exp(logFactor - this.#averageLog);
  }

  /** Such a call took `execMs` on a replica of that speed. */
  learn(question: CostQuestion, execMs: number, speed: number): void {
    const saidMs = question.saidMs ?? unknownCostMs;
    const ratio = (execMs * speed) / saidMs;
    if (!(ratio > 0 && Number.isFinite(ratio))) return;
    const limit = Math.log(maxFactor);
    const sample = Math.min(limit, Math.max(-limit, Math.log(ratio))) + this.#averageLog;
    const key = keyOf(question);
    const known = this.#known.get(key) ?? { logFactor: this.#averageLog, samples: 0 };
    known.samples++;
    known.logFactor += Math.max(gain, 1 / (known.samples + trust)) * (sample - known.logFactor);
    this.#averageLog += averageGain * (known.logFactor - this.#averageLog);
    this.#known.delete(key);
    this.#known.set(key, known);
    if (this.#known.size <= maxKinds) return;
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest);
      break;
    }
  }
}

/** With the size in powers of two of what was said: overheads weigh more in small calls. */
function keyOf({ kind, saidMs }: CostQuestion): string {
  return `${kind} ${saidMs === undefined ? '-' : Math.round(Math.log2(Math.max(1, saidMs)))}`;
}
