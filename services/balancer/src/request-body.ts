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

/** Bytes that may wait in a replica's stream before the caller's is paused. */
const highWaterBytes = 256 * 1024;

/**
 * A sender is quick if so much came and it came so fast. Its body need not be whole before a replica gets the call: a slot
 * must not wait for a sender, but a large body should not travel one hop after the other either.
 */
const quickBytes = 256 * 1024;
const quickBytesPerMs = 20_000;

/** Sends a body to one sink, from its beginning. */
export interface BodyFeed {
  /** The sink wants no more. */
  detach(): void;
}

class Feed {
  readonly sink: Writable;
  /** The first of the chunks that the sink has not got. */
  next = 0;
  #isCorked = false;

  constructor(sink: Writable) {
    this.sink = sink;
  }

  get isOpen(): boolean {
    return !this.sink.writableEnded && !this.sink.destroyed;
  }

  get hasRoom(): boolean {
    return this.sink.writableLength < highWaterBytes;
  }

  /** One socket read brings several frames in one turn: they leave as one write. */
  write(chunks: readonly Buffer[]): void {
    this.#cork();
    while (this.next < chunks.length && this.hasRoom) {
      const chunk = chunks[this.next++];
      if (chunk !== undefined) this.sink.write(chunk);
    }
  }

  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    const { sink } = this;
    sink.cork();
    process.nextTick(() => {
      this.#isCorked = false;
      sink.uncork();
    });
  }
}

export class RequestBody {
  readonly #source: Readable;
  readonly #budget: HeldBytes;
  readonly #maxHeldBytes: number;
  readonly #feeds = new Set<Feed>();
  #chunks: Buffer[] = [];
  #heldBytes = 0;
  #totalBytes = 0;
  #hasEnded = false;
  #isKeeping = true;
  #isReleased = false;
  readonly #beganMs = performance.now();
  #onReady: (() => void) | undefined;

  constructor(source: Readable, budget: HeldBytes, maxHeldBytes: number) {
    this.#source = source;
    this.#budget = budget;
    this.#maxHeldBytes = maxHeldBytes;
    source.on('data', (chunk: Buffer) => this.#take(chunk));
    source.on('end', () => {
      this.#hasEnded = true;
      this.#flush();
      this.#tellReady();
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

  /** Calls back once, when a replica that gets it would not have to wait for the sender. */
  whenReady(callback: () => void): void {
    this.#onReady = callback;
    this.#tellReady();
  }

  /** Sends it from its beginning, then ends the sink. A second sink, at once or later, needs isReplayable. */
  attach(sink: Writable): BodyFeed {
    const feed = new Feed(sink);
    this.#feeds.add(feed);
    sink.on('drain', () => {
      if (this.#feeds.has(feed)) this.#flush();
    });
    this.#flush();
    return { detach: () => this.#detach(feed) };
  }

  /** It will not be sent again: lets go of what every sink has got. */
  stopKeeping(): void {
    this.#isKeeping = false;
    this.#dropSent();
  }

  /** Nobody wants it any more: drops what is held and what still comes. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#onReady = undefined;
    this.#feeds.clear();
    this.#chunks = [];
    this.#budget.add(-this.#heldBytes);
    this.#heldBytes = 0;
    if (!this.#source.destroyed) this.#source.resume();
  }

  #tellReady(): void {
    if (this.#onReady === undefined) return;
    if (!this.#hasEnded && !this.#isFull && !this.#isQuick) return;
    const onReady = this.#onReady;
    this.#onReady = undefined;
    onReady();
  }

  get #isQuick(): boolean {
    const ms = performance.now() - this.#beganMs;
    return this.#totalBytes >= quickBytes && this.#totalBytes >= ms * quickBytesPerMs;
  }

  get #isFull(): boolean {
    return this.#heldBytes >= this.#maxHeldBytes || this.#budget.isFull;
  }

  /** With its last sink lost, what comes is held again. */
  #detach(feed: Feed): void {
    if (!this.#feeds.delete(feed) || this.#isReleased) return;
    if (this.#feeds.size > 0) this.#flush();
    else if (!this.#isFull) this.#source.resume();
  }

  #take(chunk: Buffer): void {
    this.#totalBytes += chunk.byteLength;
    if (this.#isReleased) return;
    this.#chunks.push(chunk);
    this.#heldBytes += chunk.byteLength;
    this.#budget.add(chunk.byteLength);
    if (this.#feeds.size > 0) {
      if (this.#isKeeping && this.#isFull) this.#isKeeping = false;
      this.#flush();
    } else if (this.#isFull) {
      this.#source.pause();
    }
    this.#tellReady();
  }

  /** As far as the sinks take it; the caller is held as long as one of them is full. */
  #flush(): void {
    const open = [...this.#feeds].filter((feed) => feed.isOpen);
    if (open.length === 0) return;
    for (const feed of open) feed.write(this.#chunks);
    const ends = open.map((feed) => feed.next === this.#chunks.length);
    if (!this.#isKeeping) this.#dropSent();
    if (this.#hasEnded) {
      for (const [index, feed] of open.entries()) if (ends[index] === true) feed.sink.end();
    } else if (ends.includes(false) || !open.every((feed) => feed.hasRoom)) {
      this.#source.pause();
    } else if (this.#source.isPaused()) {
      this.#source.resume();
    }
  }

  #dropSent(): void {
    const sent = Math.min(...[...this.#feeds].map(({ next }) => next));
    if (!(sent > 0 && sent < Number.POSITIVE_INFINITY)) return;
    let bytes = 0;
    for (const chunk of this.#chunks.splice(0, sent)) bytes += chunk.byteLength;
    for (const feed of this.#feeds) feed.next -= sent;
    this.#heldBytes -= bytes;
    this.#budget.add(-bytes);
  }
}
