/** Reads gRPC frames off one node:http2 stream, whichever end. */
import type { Http2Stream } from 'node:http2';
import { MeshError } from './errors.ts';
import { ChunkParser, type FrameParser, MAX_MESSAGE_BYTES, MessageParser } from './frames.ts';
import type { WireReader } from './wire.ts';

interface Read {
  readonly parser: FrameParser;
  /** Set by a parser's sink that wants the stream to wait. */
  wait: Promise<void> | undefined;
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * The stream flows only while somebody reads; what arrives otherwise is at most one buffer, kept, and then HTTP/2 flow
 * control holds the sender back.
 */
export class StreamReader implements WireReader {
  readonly #stream: Http2Stream;
  #isAttached = false;
  #kept: Buffer | undefined;
  #keptAt = 0;
  /** The stream ended; what that means is known (a client's stream ends well only with a status). */
  #hasEnd = false;
  #isEndConfirmed: boolean;
  #failure: MeshError | undefined;
  #read: Read | undefined;
  #isDiscarding = false;
  #isOpen: boolean;

  /** `isReply`: nothing is read before `open` is called, and the end of the stream counts once `confirmEnd` is. */
  constructor(stream: Http2Stream, { isReply = false } = {}) {
    this.#stream = stream;
    this.#isOpen = !isReply;
    this.#isEndConfirmed = !isReply;
  }

  get #isEnded(): boolean {
    return this.#hasEnd && this.#isEndConfirmed;
  }

  async message(
    maxBytes = MAX_MESSAGE_BYTES,
    reserve?: (sizeBytes: number) => void,
  ): Promise<Uint8Array | undefined> {
    const parser = new MessageParser(maxBytes, reserve);
    await this.#run(parser);
    return parser.message;
  }

  async chunksInto(target: Uint8Array): Promise<void> {
    let filled = 0;
    await this.#run(
      new ChunkParser((payload) => {
        if (payload.byteLength > target.byteLength - filled) throw sizeMismatch(target.byteLength, 'more');
        target.set(payload, filled);
        filled += payload.byteLength;
      }),
    );
    if (filled !== target.byteLength) throw sizeMismatch(target.byteLength, `${filled}`);
  }

  async eachChunk(sink: (bytes: Buffer) => void | Promise<void>, maxBytes: number): Promise<number> {
    let total = 0;
    const parser = new ChunkParser((payload) => {
      total += payload.byteLength;
      if (total > maxBytes) {
        throw new MeshError('BODY_TOO_LARGE', `the body is over the limit of ${maxBytes} bytes`, {
          metadata: { limit: String(maxBytes) },
        });
      }
      const read = this.#read;
      if (read === undefined) return;
      // One buffer can hold several chunks: each waits for the sink's answer to the one before.
      if (read.wait !== undefined) read.wait = read.wait.then(() => sink(payload));
      else read.wait = sink(payload) ?? undefined;
    });
    await this.#run(parser);
    return total;
  }

  /** Ends reading with this error, now and for ever. */
  fail(error: MeshError): void {
    if (this.#failure !== undefined || this.#isEnded) return;
    this.#failure = error;
    this.#kept = undefined;
    const read = this.#read;
    this.#read = undefined;
    read?.reject(error);
  }

  /** The headers of the reply are known: what follows may be read. */
  open(): void {
    this.#isOpen = true;
    if (this.#read !== undefined) this.#attach();
    this.#advance();
  }

  /** The call ended well: the end of the stream is the end of the messages. */
  confirmEnd(): void {
    this.#isEndConfirmed = true;
    this.#advance();
  }

  /** Drops what still comes. */
  discard(): void {
    this.#isDiscarding = true;
    this.#kept = undefined;
    if (!this.#stream.destroyed) this.#stream.resume();
  }

  #run(parser: FrameParser): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#read !== undefined) throw new Error('one read at a time');
      this.#read = { parser, wait: undefined, resolve, reject };
      if (this.#isOpen) this.#attach();
      this.#advance();
    });
  }

  #attach(): void {
    if (this.#isAttached) return;
    this.#isAttached = true;
    this.#stream.on('data', (bytes: Buffer) => this.#onData(bytes));
    this.#stream.on('end', () => {
      this.#hasEnd = true;
      this.#advance();
    });
    if (this.#stream.readableEnded) this.#hasEnd = true;
  }

  #onData(bytes: Buffer): void {
    if (this.#isDiscarding) return;
    // A paused stream emits nothing more; should it ever, nothing is lost.
    this.#kept = this.#kept === undefined ? bytes : Buffer.concat([this.#kept.subarray(this.#keptAt), bytes]);
    this.#keptAt = 0;
    this.#advance();
  }

  /** Feeds the read in progress with what is there, then lets the stream flow or stop. */
  #advance(): void {
    const read = this.#read;
    if (read === undefined) {
      if (this.#kept !== undefined) this.#stream.pause();
      return;
    }
    if (this.#failure !== undefined) {
      this.#finish(read, this.#failure);
      return;
    }
    if (read.wait !== undefined) return;
    try {
      if (this.#kept !== undefined) {
        const bytes = this.#kept;
        this.#keptAt = read.parser.push(bytes, this.#keptAt);
        if (this.#keptAt === bytes.byteLength) this.#kept = undefined;
      }
      if (read.wait !== undefined) {
        this.#await(read, read.wait);
        return;
      }
      if (read.parser.isDone) {
        this.#finish(read, undefined);
        return;
      }
      if (this.#isEnded) {
        read.parser.end();
        this.#finish(read, undefined);
        return;
      }
    } catch (error) {
      this.#finish(read, error);
      return;
    }
    if (this.#isOpen && this.#stream.isPaused()) this.#stream.resume();
  }

  #await(read: Read, wait: Promise<void>): void {
    this.#stream.pause();
    wait.then(
      () => {
        read.wait = undefined;
        if (this.#read === read) this.#advance();
      },
      (error: unknown) => {
        if (this.#read === read) this.#finish(read, error);
      },
    );
  }

  #finish(read: Read, error: unknown): void {
    this.#read = undefined;
    if (!this.#isEnded && !this.#isDiscarding) this.#stream.pause();
    if (error === undefined) read.resolve();
    else read.reject(error);
  }
}

function sizeMismatch(expected: number, got: string): MeshError {
  return new MeshError('SIZE_MISMATCH', `${expected} bytes were announced, ${got} came`, {
    metadata: { announced: String(expected) },
  });
}
