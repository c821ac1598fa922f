/**
 * The shapes that the gateway's RPCs are written in, without a protocol. `on-wire.ts` and `on-connect.ts` bind each
 * implementation to both.
 */
import type { IncomingCall } from '../call.ts';

/** One message in, one out. */
export type Unary<Request, Response> = (request: Request, call: IncomingCall) => Promise<Response>;

/** A spec and chunks in, one message out. */
export type Upload<Spec, Response> = (
  spec: Spec,
  chunks: IncomingChunks,
  call: IncomingCall,
) => Promise<Response>;

/** One message in; a first message and chunks out. */
export type Download<Request, Response> = (
  request: Request,
  call: IncomingCall,
) => Promise<StreamedReply<Response>>;

/** A spec and chunks in; a first message and chunks out. */
export type Transfer<Spec, Response> = (
  spec: Spec,
  chunks: IncomingChunks,
  call: IncomingCall,
) => Promise<StreamedReply<Response>>;

/** One message in, messages out as they happen. */
export type Watch<Request, Response> = (request: Request, call: IncomingCall) => AsyncIterable<Response>;

/** The chunks that follow the spec of a stream. */
export interface IncomingChunks {
  /** Every chunk in order, which the sink may keep; waits for the sink. Resolves with their bytes in all. */
  eachChunk(sink: (bytes: Uint8Array) => void | Promise<void>, maxBytes: number): Promise<number>;
}

/** A first message, and bytes that follow it as chunks. */
export interface StreamedReply<Message> {
  readonly first: Message;
  readonly bytes: Uint8Array | AsyncIterable<Uint8Array>;
  /** Called once, when all was sent or the client left. */
  release(): Promise<void>;
}

/** Payload of a chunk sent to a client, as the API says. */
export const replyChunkBytes = 64 * 1024;

/** Which messages of a stream carry what, by the oneof that they all have. */
export interface StreamedRequest<Spec> {
  readonly message:
    | { readonly case: 'spec'; readonly value: Spec }
    | { readonly case: 'chunk'; readonly value: Uint8Array }
    | { readonly case: undefined };
}
