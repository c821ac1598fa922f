/**
 * One attempt to run a call on a replica: its stream there, coupled with the caller's, frames untouched both ways.
 *
 * The reply is held back until it is whole, or longer than may be held: then it is committed. Until then nothing reaches the
 * caller, and the call can go elsewhere.
 */
import {
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { IM_EXEC_MS, IM_REASON, type SessionPool } from '@imagemesh/rpc';
import { responseHeaders } from './forward-headers.ts';
import type { HeldReply } from './held-reply.ts';
import type { BodyFeed, RequestBody } from './request-body.ts';
import type { Failure } from './retry.ts';

export type AttemptEnd =
  /** A whole reply with DATA, passed on; its status follows in these trailers. */
  | { readonly kind: 'replied'; readonly trailers: IncomingHttpHeaders }
  /** A status and no DATA; nothing has been passed on. `headers` are the trailers, with :status and the rest. */
  | { readonly kind: 'status'; readonly headers: IncomingHttpHeaders }
  | {
      readonly kind: 'failed';
      readonly failure: Failure;
      readonly what: string;
      /** The status that the replica answered with, if it did; nothing has been passed on. */
      readonly headers?: IncomingHttpHeaders;
    };

export interface AttemptOptions {
  readonly pool: SessionPool;
  readonly headers: OutgoingHttpHeaders;
  readonly body: RequestBody;
  readonly caller: ServerHttp2Stream;
  /** Where the reply is held back. */
  readonly reply: HeldReply;
  /** Called right before the first byte goes to the caller. */
  readonly onCommit: () => void;
  /** Called when the replica says that its work is done; its reply is still to come. */
  readonly onWorked: () => void;
  /** Called once, unless cancelled before. */
  readonly onEnd: (end: AttemptEnd) => void;
}

/** Bytes of the reply that may wait for a slow caller; then the replica's stream is paused. */
const highWaterBytes = 1024 * 1024;

export class Attempt {
  readonly #options: AttemptOptions;
  readonly #stream: ClientHttp2Stream;
  readonly #feed: BodyFeed;
  #isOver = false;
  #isCommitted = false;
  #isCorked = false;
  #head: IncomingHttpHeaders | undefined;
  #trailers: IncomingHttpHeaders | undefined;
  #error: unknown;
  #bytesDown = 0;

  /** Throws MeshError where the pool has no connection to give. */
  constructor(options: AttemptOptions) {
    this.#options = options;
    const stream = options.pool.request(options.headers);
    this.#stream = stream;
    stream.on('response', (headers) => {
      this.#head = headers;
      if (!this.#isOver && headers[IM_EXEC_MS] !== undefined) options.onWorked();
      // Not before: a socket read can bring both, and hands out the data first.
      stream.on('data', (chunk: Buffer) => this.#pass(chunk));
    });
    stream.on('trailers', (trailers) => {
      this.#trailers = trailers;
    });
    stream.on('error', (error) => {
      this.#error = error;
    });
    stream.on('end', () => this.#finish());
    stream.on('close', () => this.#finish());
    options.caller.on('drain', this.#onDrain);
    this.#feed = options.body.attach(stream);
  }

  get isCommitted(): boolean {
    return this.#isCommitted;
  }

  get bytesDown(): number {
    return this.#bytesDown;
  }

  /** Gives up: resets the replica's stream and says nothing more. */
  cancel(): void {
    if (this.#isOver) return;
    this.#leave();
    this.#options.pool.reset(this.#stream);
  }

  #pass(chunk: Buffer): void {
    if (this.#isOver) return;
    const { caller } = this.#options;
    if (caller.destroyed || caller.closed) return;
    if (!this.#isCommitted) {
      if (this.#options.reply.hold(chunk)) return;
      this.#commit();
    }
    this.#write(chunk);
    if (caller.writableLength >= highWaterBytes) this.#stream.pause();
  }

  #commit(): void {
    const { caller, reply, onCommit } = this.#options;
    this.#isCommitted = true;
    onCommit();
    caller.respond(responseHeaders(this.#head ?? {}), { waitForTrailers: true });
    for (const chunk of reply.take()) this.#write(chunk);
  }

  #write(chunk: Buffer): void {
    this.#bytesDown += chunk.byteLength;
    this.#cork();
    this.#options.caller.write(chunk);
  }

  readonly #onDrain = () => {
    if (this.#stream.isPaused()) this.#stream.resume();
  };

  /** Frames that came in one socket read leave as one write. */
  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    const { caller } = this.#options;
    caller.cork();
    process.nextTick(() => {
      this.#isCorked = false;
      caller.uncork();
    });
  }

  /** At the end of the reply, or at the end of the stream, whichever is first. */
  #finish(): void {
    if (this.#isOver) return;
    const stream = this.#stream;
    const end = this.#endOf();
    // A reply can be whole while the request is not: its replica wants no more, and neither do we.
    const isUnfinished = !stream.writableEnded && !stream.destroyed && !stream.closed;
    this.#leave();
    // Most often it resets the stream itself, in the same read.
    if (isUnfinished) setImmediate(() => this.#options.pool.reset(stream, constants.NGHTTP2_NO_ERROR));
    this.#options.onEnd(end);
  }

  #endOf(): AttemptEnd {
    const trailers = this.#trailers ?? this.#head;
    if (trailers?.['grpc-status'] !== undefined) {
      if (this.#isCommitted) return { kind: 'replied', trailers };
      const headers = this.#trailers === undefined ? trailers : { ...this.#head, ...this.#trailers };
      const failure = failureOfStatus(trailers);
      if (failure === undefined) {
        const { caller, reply } = this.#options;
        if (reply.isEmpty || caller.destroyed || caller.closed) return { kind: 'status', headers };
        this.#commit();
        return { kind: 'replied', trailers };
      }
      const what = `${trailers[IM_REASON] ?? `gRPC status ${trailers['grpc-status']}`}: ${trailers['grpc-message'] ?? ''}`;
      return { kind: 'failed', failure, what, headers };
    }
    return { kind: 'failed', ...this.#loss() };
  }

  #loss(): { failure: Failure; what: string } {
    const { rstCode, session } = this.#stream;
    const { pool } = this.#options;
    const why = this.#error instanceof Error ? this.#error.message : `stream closed with code ${rstCode}`;
    if (!pool.wasConnected(this.#stream)) return { failure: 'refused', what: `no connection: ${why}` };
    if (rstCode === constants.NGHTTP2_REFUSED_STREAM)
      return { failure: 'refused', what: 'the stream was refused' };
    if (session === undefined || session.destroyed)
      return { failure: 'died', what: `the connection broke: ${why}` };
    if (this.#head !== undefined && rstCode === constants.NGHTTP2_NO_ERROR) {
      return { failure: 'reset', what: `the reply ended without a status (HTTP ${this.#head[':status']})` };
    }
    return { failure: 'reset', what: `the stream was reset: ${why}` };
  }

  #leave(): void {
    this.#isOver = true;
    this.#options.reply.take();
    this.#options.caller.off('drain', this.#onDrain);
    this.#feed.detach();
    if (!this.#stream.destroyed) this.#stream.resume();
  }
}

/** What a status of a replica says about that replica; undefined: nothing, it is the call's. */
function failureOfStatus(trailers: IncomingHttpHeaders): Failure | undefined {
  switch (trailers[IM_REASON]) {
    case 'REPLICA_BUSY':
      return 'busy';
    case 'REPLICA_STOPPING':
      return 'stopping';
    default:
      return replicasFault.has(Number(trailers['grpc-status'])) ? 'errored' : undefined;
  }
}

/** UNKNOWN, INTERNAL, UNAVAILABLE, DATA_LOSS. */
const replicasFault: ReadonlySet<number> = new Set([2, 13, 14, 15]);
