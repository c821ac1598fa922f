/**
 * gRPC's framed byte streams over node:http2: the types of both ends.
 *
 * Images travel as one typed message (the spec, the header) and then chunk messages (`bytes`, field 2). These streams
 * are read and written straight on node:http2, without an async iterator per chunk and without a message object per
 * chunk; on the wire they are plain gRPC with identity encoding.
 */
import type { IncomingHttpHeaders } from 'node:http2';
import type { TraceContext } from '@imagemesh/observe';
import type { Deadline } from './deadline.ts';

/** Default payload of a chunk message that we send. Large: costs are per write, and memory is bounded anyway. */
export const DEFAULT_CHUNK_BYTES = 256 * 1024;

/** One direction of a call, incoming. One read at a time. */
export interface WireReader {
  /**
   * The next message whole; undefined at the end of the stream. MeshError: BODY_TOO_LARGE over maxBytes (default
   * 4 MiB), COMPRESSION_UNSUPPORTED, INVALID_REQUEST for a broken frame, or what ended the call, or what `reserve` throws,
   * which is told the message's size before it is read.
   */
  message(maxBytes?: number, reserve?: (sizeBytes: number) => void): Promise<Uint8Array | undefined>;
  /**
   * The payloads of all remaining messages, which must be chunk messages, in order, into `target`: one copy a byte.
   * SIZE_MISMATCH unless they fill it exactly at the end of the stream.
   */
  chunksInto(target: Uint8Array): Promise<void>;
  /**
   * The payloads of all remaining messages as they arrive, as views that the sink may keep; the stream waits for the
   * sink. Returns their bytes in all; BODY_TOO_LARGE as soon as they are more than maxBytes.
   */
  eachChunk(sink: (bytes: Buffer) => void | Promise<void>, maxBytes: number): Promise<number>;
}

/** One direction of a call, outgoing. Await each write: that is the backpressure. */
export interface WireWriter {
  /** Resolves when the stream takes more. */
  message(bytes: Uint8Array): Promise<void>;
  /** Bytes as chunk messages (field 2), payload not copied: leave it alone until the call is over. */
  chunks(bytes: Uint8Array | AsyncIterable<Uint8Array>, chunkBytes?: number): Promise<void>;
}

/** A call as the server sees it. */
export interface ServerWireCall {
  /** "/imagemesh.v1.ResizeService/Resize". */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** The same object for all calls of one connection. */
  readonly connection: object;
  /** Fires when the caller left or the deadline passed; its reason is a MeshError. */
  readonly signal: AbortSignal;
  readonly deadline: Deadline | undefined;
  readonly requestId: string;
  readonly trace: TraceContext;
  readonly reader: WireReader;
  readonly writer: WireWriter;
  /** Sent before the first message; fill them in before it. A reply without messages has none of its own. */
  readonly responseHeaders: Record<string, string>;
  /** Sent with the status, whichever it is. */
  readonly trailers: Record<string, string>;
}

/** A call as the client sees it. Read it to its end, or cancel it: an unread reply holds its place in the pool. */
export interface ClientWireCall {
  readonly writer: WireWriter;
  /** Half-closes: nothing more will be written. */
  end(): void;
  readonly reader: WireReader;
  /** Headers of the reply, once it begins; rejects if it does not. */
  readonly response: Promise<IncomingHttpHeaders>;
  /** Trailers of a reply that ended OK; rejects with the MeshError that it ended with instead. */
  readonly status: Promise<{ readonly trailers: IncomingHttpHeaders }>;
  /** Gives up: RST_STREAM CANCEL, counted in the session's reset budget. After the status: drops what is unread. */
  cancel(reason?: Error): void;
  /** Whether a reply has begun (headers, or a status). While false, the call may be sent elsewhere. */
  readonly hasBegun: boolean;
  /** Whether the call failed because its connection did (never opened, broke, refused), not by a status. */
  readonly isLost: boolean;
}
