/** The RPCs over Connect's router: Connect, gRPC-Web, compressed or JSON gRPC. Requests come validated. */
import {
  type ContextKey,
  type ContextValues,
  callInfo,
  createContextKey,
  createContextValues,
  type HandlerContext,
  invalidField,
  MeshError,
} from '@imagemesh/rpc';
import { type IncomingCall, withinTransferTime } from '../call.ts';
import type { HttpEntry } from '../identity/enter-http.ts';
import {
  type Download,
  type IncomingChunks,
  replyChunkBytes,
  type StreamedReply,
  type StreamedRequest,
  type Transfer,
  type Unary,
  type Upload,
  type Watch,
} from './call-shapes.ts';
import { readSpec } from './on-wire.ts';

interface Chunk {
  readonly message: { readonly case: 'chunk'; readonly value: Uint8Array };
}

export function connectUnary<Request, Response>(serve: Unary<Request, Response>) {
  return (request: Request, context: HandlerContext): Promise<Response> => serve(request, incoming(context));
}

export function connectUpload<Spec, Message extends StreamedRequest<Spec>, Response>(
  serve: Upload<Spec, Response>,
) {
  return async (messages: AsyncIterable<Message>, context: HandlerContext): Promise<Response> => {
    const call = incoming(context);
    const { spec, chunks } = await openStream<Spec>(messages);
    return serve(spec, chunks, call);
  };
}

export function connectDownload<Request, Response>(
  serve: Download<Request, Response>,
  bodyTimeoutMs: number,
) {
  return async function* (request: Request, context: HandlerContext): AsyncIterable<Response | Chunk> {
    const call = incoming(context);
    yield* reply(call, await serve(request, call), bodyTimeoutMs);
  };
}

export function connectTransfer<Spec, Message extends StreamedRequest<Spec>, Response>(
  serve: Transfer<Spec, Response>,
  bodyTimeoutMs: number,
) {
  return async function* (
    messages: AsyncIterable<Message>,
    context: HandlerContext,
  ): AsyncIterable<Response | Chunk> {
    const call = incoming(context);
    const { spec, chunks } = await openStream<Spec>(messages);
    yield* reply(call, await serve(spec, chunks, call), bodyTimeoutMs);
  };
}

export function connectWatch<Request, Response>(serve: Watch<Request, Response>) {
  return (request: Request, context: HandlerContext): AsyncIterable<Response> =>
    serve(request, incoming(context));
}

const entryKey: ContextKey<HttpEntry | undefined> = createContextKey(undefined, { description: 'who calls' });

/** What the handlers find their caller in. */
export function contextWith(entry: HttpEntry): ContextValues {
  return createContextValues().set(entryKey, entry);
}

function incoming(context: HandlerContext): IncomingCall {
  const { requestId, trace, deadline, signal } = callInfo(context);
  const entry = context.values.get(entryKey);
  if (entry === undefined) throw new Error('a call came in without being asked who makes it');
  const { caller, budget } = entry;
  return { requestId, trace, signal, caller, owner: caller.owner, budget, clientDeadline: deadline };
}

async function openStream<Spec>(
  messages: AsyncIterable<StreamedRequest<Spec>>,
): Promise<{ spec: Spec; chunks: IncomingChunks }> {
  const iterator = messages[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done === true) throw invalidField('message', 'the spec must come first; the stream is empty');
  const spec = readSpec(first.value);
  return { spec, chunks: { eachChunk: (sink, maxBytes) => eachChunk(iterator, sink, maxBytes) } };
}

async function eachChunk<Spec>(
  messages: AsyncIterator<StreamedRequest<Spec>>,
  sink: (bytes: Uint8Array) => void | Promise<void>,
  maxBytes: number,
): Promise<number> {
  let total = 0;
  for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
    const { message } = next.value;
    if (message.case !== 'chunk') throw invalidField('message', 'only chunks may follow the spec');
    total += message.value.length;
    if (total > maxBytes) {
      throw new MeshError('BODY_TOO_LARGE', `the body is over the limit of ${maxBytes} bytes`, {
        metadata: { limit: String(maxBytes) },
      });
    }
    await sink(message.value);
  }
  return total;
}

/** Ends a reply that is read too slowly when its time is over. */
async function* reply<Message>(
  call: IncomingCall,
  { first, bytes, release }: StreamedReply<Message>,
  bodyTimeoutMs: number,
): AsyncIterable<Message | Chunk> {
  const endMs = performance.now() + bodyTimeoutMs;
  try {
    yield first;
    for await (const part of bytes instanceof Uint8Array ? [bytes] : bytes) {
      for (let at = 0; at < part.length; at += replyChunkBytes) {
        call.signal.throwIfAborted();
        if (performance.now() > endMs)
          await withinTransferTime(call.signal, 0, () => new Promise<never>(() => {}));
        yield { message: { case: 'chunk', value: part.subarray(at, at + replyChunkBytes) } };
      }
    }
  } finally {
    await release();
  }
}
