/**
 * A call's request body: held by reference for sending again, and passed on with backpressure.
 *
 * It is read while the call still queues. Left in the stream, its bytes would lie there all the same, up to a stream
 * window a call, where no budget counts them; read and held, they are counted, and a replica's slot gets them without
 * a round trip to the caller. Held are at most `maxHeldBytes` a call and the budget's bytes in all. A queued call stops
 * reading there and lets HTTP/2 flow control hold the sender; a running one goes on, lets go of what it has sent, and
 * cannot be sent again.
 */
import type { Readable, Writable } from 'node:stream';

/** Bytes held by all calls together. */
export class HeldBytes {
  readonly max: number;
  #held = 0;

  constructor(max: number) {
    this.max = max;
  }

  get held(): number {
    return this.#held;
  }

  get isFull(): boolean {
    return this.#held >= this.max;
  }

  add(bytes: number): void {
    this.#held += bytes;
  }
}

/** Bytes that may wait in the replica's stream before the caller's is paused. */
const highWaterBytes = 256 * 1024;

export class RequestBody {
  readonly #source: Readable;
  readonly #budget: HeldBytes;
  readonly #maxHeldBytes: number;
  #chunks: Buffer[] = [];
  /** The first of the chunks that the sink has not got. */
  #next = 0;
  #heldBytes = 0;
  #totalBytes = 0;
  #hasEnded = false;
  #isKeeping = true;
  #isReleased = false;
  #sink: Writable | undefined;
  #isCorked = false;

  constructor(source: Readable, budget: HeldBytes, maxHeldBytes: number) {
    this.#source = source;
    this.#budget = budget;
    this.#maxHeldBytes = maxHeldBytes;
    source.on('data', (chunk: Buffer) => this.#take(chunk));
    source.on('end', () => {
      this.#hasEnded = true;
      this.#flush();
    });
  }

  /** Bytes that came so far. */
  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** Whether all that came so far is still here. */
  get isReplayable(): boolean {
    return this.#isKeeping && !this.#isReleased;
  }

  /** Whether the caller has sent all of it. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Sends it from its beginning, then ends the sink. One sink at a time; the next needs isReplayable. */
  attach(sink: Writable): void {
    this.#sink = sink;
    this.#next = 0;
    sink.on('drain', () => {
      if (this.#sink === sink) this.#flush();
    });
    this.#flush();
  }

  /** The sink is lost: what comes is held again. */
  detach(): void {
    this.#sink = undefined;
    this.#next = 0;
    if (!this.#isReleased && !this.#isFull) this.#source.resume();
  }

  /** It will not be sent again: lets go of what the sink has got. */
  stopKeeping(): void {
    this.#isKeeping = false;
    this.#dropSent();
  }

  /** Nobody wants it any more: drops what is held and what still comes. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#sink = undefined;
    this.#chunks = [];
    this.#next = 0;
    this.#budget.add(-this.#heldBytes);
    this.#heldBytes = 0;
    if (!this.#source.destroyed) this.#source.resume();
  }

  get #isFull(): boolean {
    return this.#heldBytes >= this.#maxHeldBytes || this.#budget.isFull;
  }

  #take(chunk: Buffer): void {
    this.#totalBytes += chunk.byteLength;
    if (this.#isReleased) return;
    this.#chunks.push(chunk);
    this.#heldBytes += chunk.byteLength;
    this.#budget.add(chunk.byteLength);
    if (this.#sink !== undefined) {
      if (this.#isKeeping && this.#isFull) this.#isKeeping = false;
      this.#flush();
    } else if (this.#isFull) {
      this.#source.pause();
    }
  }

  #flush(): void {
    const sink = this.#sink;
    if (sink === undefined || sink.writableEnded || sink.destroyed) return;
    this.#cork(sink);
    while (this.#next < this.#chunks.length && sink.writableLength < highWaterBytes) {
      const chunk = this.#chunks[this.#next++];
      if (chunk !== undefined) sink.write(chunk);
    }
    if (!this.#isKeeping) this.#dropSent();
    if (this.#next < this.#chunks.length) {
      this.#source.pause();
    } else if (this.#hasEnded) {
      sink.end();
    } else if (sink.writableLength >= highWaterBytes) {
      this.#source.pause();
    } else if (this.#source.isPaused()) {
      this.#source.resume();
    }
  }

  /** One socket read brings several frames in one turn: they leave as one write. */
  #cork(sink: Writable): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    sink.cork();
    process.nextTick(() => {
      this.#isCorked = false;
      sink.uncork();
    });
  }

  #dropSent(): void {
    if (this.#next === 0) return;
    let bytes = 0;
    for (const chunk of this.#chunks.splice(0, this.#next)) bytes += chunk.byteLength;
    this.#next = 0;
    this.#heldBytes -= bytes;
    this.#budget.add(-bytes);
  }
}
