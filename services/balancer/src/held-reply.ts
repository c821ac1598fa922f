/**
 * The beginning of a reply, held back so that the call can still go elsewhere: whole replies up to `maxBytes`, counted in
 * the budget of all that is held.
 */
import type { HeldBytes } from './request-body.ts';

export class HeldReply {
  readonly #budget: HeldBytes;
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #bytes = 0;

  /** With `maxBytes` 0 nothing is held. */
  constructor(budget: HeldBytes, maxBytes: number) {
    this.#budget = budget;
    this.#maxBytes = maxBytes;
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  /** Whether there was room for it. */
  hold(chunk: Buffer): boolean {
    if (this.#budget.isFull || this.#bytes + chunk.byteLength > this.#maxBytes) return false;
    this.#chunks.push(chunk);
    this.#bytes += chunk.byteLength;
    this.#budget.add(chunk.byteLength);
    return true;
  }

  /** Gives out what is held, and holds nothing. */
  take(): readonly Buffer[] {
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#budget.add(-this.#bytes);
    this.#bytes = 0;
    return chunks;
  }
}
