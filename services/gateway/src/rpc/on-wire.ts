/**
 * The hot RPCs over raw gRPC frames: no message object and no async iterator per chunk, no copy of a source's bytes.
 * Any other protocol comes by `on-connect.ts`, to the same implementations.
 */
import {
  type DescMessage,
  type DescMethodBiDiStreaming,
  type DescMethodClientStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { invalidField, MeshError, type ServerWireCall, validateMessage } from '@imagemesh/rpc';
import { type IncomingCall, withinTransferTime } from '../call.ts';
import type { Caller } from '../identity/caller.ts';
import type { MemoryBudget } from '../memory-budget.ts';
import {
  type Download,
  replyChunkBytes,
  type StreamedReply,
  type StreamedRequest,
  type Transfer,
  type Unary,
  type Upload,
} from './call-shapes.ts';

export type WireServe = (wire: ServerWireCall, call: IncomingCall) => Promise<void>;

export interface WireLimits {
  /** The largest message with an image in it. */
  readonly maxMessageBytes: number;
  /** Time for a body to arrive, and for a reply to be read. */
  readonly bodyTimeoutMs: number;
}

export function wireUnary<I extends DescMessage, O extends DescMessage>(
  { input, output }: DescMethodUnary<I, O>,
  serve: Unary<MessageShape<I>, MessageShape<O>>,
  limits: WireLimits,
): WireServe {
  return async (wire, call) => {
    const response = await serve(await readFirst(wire, call, input, limits), call);
    await withinTransferTime(call.signal, limits.bodyTimeoutMs, () =>
      wire.writer.message(toBinary(output, response)),
    );
  };
}

export function wireUpload<I extends DescMessage, O extends DescMessage, Spec>(
  { input, output }: DescMethodClientStreaming<I, O>,
  serve: Upload<Spec, MessageShape<O>>,
  limits: WireLimits & { specOf: (message: MessageShape<I>) => StreamedRequest<Spec> },
): WireServe {
  return async (wire, call) => {
    const spec = readSpec(limits.specOf(await readFirst(wire, call, input, limits)));
    const response = await serve(spec, wire.reader, call);
    await wire.writer.message(toBinary(output, response));
  };
}

export function wireDownload<I extends DescMessage, O extends DescMessage>(
  { input, output }: DescMethodServerStreaming<I, O>,
  serve: Download<MessageShape<I>, MessageShape<O>>,
  limits: WireLimits,
): WireServe {
  return async (wire, call) => {
    const request = await readFirst(wire, call, input, limits);
    await reply(wire, output, await serve(request, call), limits);
  };
}

export function wireTransfer<I extends DescMessage, O extends DescMessage, Spec>(
  { input, output }: DescMethodBiDiStreaming<I, O>,
  serve: Transfer<Spec, MessageShape<O>>,
  limits: WireLimits & { specOf: (message: MessageShape<I>) => StreamedRequest<Spec> },
): WireServe {
  return async (wire, call) => {
    const spec = readSpec(limits.specOf(await readFirst(wire, call, input, limits)));
    await reply(wire, output, await serve(spec, wire.reader, call), limits);
  };
}

/** The spec of a stream's first message. */
export function readSpec<Spec>({ message }: StreamedRequest<Spec>): Spec {
  if (message.case === 'spec') return message.value;
  throw invalidField('message', 'the spec must come first, before any chunk');
}

export function incomingOnWire(
  { requestId, trace, signal, deadline }: ServerWireCall,
  caller: Caller,
  budget: MemoryBudget,
): IncomingCall {
  return { requestId, trace, signal, caller, owner: caller.owner, budget, clientDeadline: deadline };
}

/** Its bytes are in the connection's budget while they arrive; then whoever holds them accounts for them. */
async function readFirst<I extends DescMessage>(
  wire: ServerWireCall,
  { budget }: IncomingCall,
  schema: I,
  { maxMessageBytes, bodyTimeoutMs }: WireLimits,
): Promise<MessageShape<I>> {
  let giveBack: (() => void) | undefined;
  const reserve = (sizeBytes: number) => {
    giveBack = budget.take(sizeBytes);
  };
  const bytes = await withinTransferTime(wire.signal, bodyTimeoutMs, () =>
    wire.reader.message(maxMessageBytes, reserve),
  ).finally(() => giveBack?.());
  if (bytes === undefined) throw new MeshError('INVALID_REQUEST', 'the call has no message');
  const message = parse(schema, bytes);
  validateMessage(schema, message);
  return message;
}

function parse<I extends DescMessage>(schema: I, bytes: Uint8Array): MessageShape<I> {
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    throw new MeshError('INVALID_REQUEST', `the message is not a valid ${schema.typeName}`, { cause });
  }
}

async function reply<O extends DescMessage>(
  { writer, signal }: ServerWireCall,
  schema: O,
  { first, bytes, release }: StreamedReply<MessageShape<O>>,
  { bodyTimeoutMs }: WireLimits,
): Promise<void> {
  try {
    await withinTransferTime(signal, bodyTimeoutMs, async () => {
      await writer.message(toBinary(schema, first));
      await writer.chunks(bytes, replyChunkBytes);
    });
  } finally {
    await release();
  }
}
