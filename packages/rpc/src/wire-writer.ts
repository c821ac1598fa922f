/** Writes gRPC frames to one node:http2 stream, whichever end. */
import type { Http2Stream } from 'node:http2';
import { cancelled } from './deadline.ts';
import type { MeshError } from './errors.ts';
import { chunkHead, frameMessage, MAX_CHUNK_BYTES } from './frames.ts';
import { DEFAULT_CHUNK_BYTES, type WireWriter } from './wire.ts';

/** Bytes that may wait in the stream before a write waits for it to drain. */
const highWaterBytes = 512 * 1024;

/** Below this a payload is copied behind its head: one small write is cheaper than two buffers. */
const copyBelowBytes = 4 * 1024;

export class StreamWriter implements WireWriter {
  readonly #stream: Http2Stream;
  readonly #begin: () => void;
  #failure: MeshError | undefined;
  #isStopped = false;
  #wakers = new Set<() => void>();
  #isListening = false;

  /** `begin` is called before each write: a server sends its headers with the first message. */
  constructor(stream: Http2Stream, begin: () => void) {
    this.#stream = stream;
    this.#begin = begin;
  }

  message(bytes: Uint8Array): Promise<void> {
    return this.#write(frameMessage(bytes));
  }

  async chunks(
    bytes: Uint8Array | AsyncIterable<Uint8Array>,
    chunkBytes: number = DEFAULT_CHUNK_BYTES,
  ): Promise<void> {
    const size = Math.max(1, Math.min(chunkBytes, MAX_CHUNK_BYTES));
    if (bytes instanceof Uint8Array) {
      await this.#split(bytes, size);
      return;
    }
    for await (const part of bytes) await this.#split(part, size);
  }

  /** Later writes reject with this error. */
  fail(error: MeshError): void {
    this.#failure ??= error;
    this.#wake();
  }

  /** Later writes go nowhere, without an error: the other end has all it wants. */
  stop(): void {
    this.#isStopped = true;
    this.#wake();
  }

  async #split(bytes: Uint8Array, size: number): Promise<void> {
    for (let at = 0; at < bytes.byteLength; at += size) {
      const payload = bytes.subarray(at, Math.min(at + size, bytes.byteLength));
      const head = chunkHead(payload.byteLength);
      if (payload.byteLength < copyBelowBytes) await this.#write(Buffer.concat([head, payload]));
      else await this.#write(head, payload);
    }
  }

  #write(first: Uint8Array, second?: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#isStopped) return Promise.resolve();
    const stream = this.#stream;
    if (stream.destroyed || stream.closed || stream.writableEnded) return Promise.reject(cancelled());
    this.#begin();
    if (second === undefined) {
      stream.write(first);
    } else {
      stream.cork();
      stream.write(first);
      stream.write(second);
      stream.uncork();
    }
    if (!stream.writableNeedDrain || stream.writableLength <= highWaterBytes) return Promise.resolve();
    return this.#drained();
  }

  async #drained(): Promise<void> {
    if (!this.#isListening) {
      this.#isListening = true;
      this.#stream.on('drain', () => this.#wake());
      this.#stream.on('close', () => this.#wake());
    }
    await new Promise<void>((resolve) => {
      this.#wakers.add(resolve);
    });
    if (this.#failure !== undefined) throw this.#failure;
  }

  #wake(): void {
    if (this.#wakers.size === 0) return;
    const wakers = this.#wakers;
    this.#wakers = new Set();
    for (const wake of wakers) wake();
  }
}
