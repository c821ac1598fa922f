/** One stage over the wire: spec and source out, header and result in. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type BlobRef,
  type ColorPolicy,
  Destination,
  FilterService,
  ResizeRequestSchema,
  ResizeResponseSchema,
  ResizeService,
  WorkerKind,
  type WorkHeader,
  type WorkSpec,
  WorkSpecSchema,
} from '@imagemesh/api';
import type { CodedFormat } from '@imagemesh/image';
import { formatTraceparent } from '@imagemesh/observe';
import {
  type ClientWireCall,
  IM_AGE,
  IM_CLASS,
  IM_COST,
  IM_DEATHS,
  IM_FORMAT,
  IM_OP,
  IM_STORE,
  MeshError,
  openWireCall,
  REQUEST_ID_HEADER,
  type SessionPool,
  TRACEPARENT_HEADER,
} from '@imagemesh/rpc';
import type { CallContext } from './call.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { Stage } from './plan.ts';

/** What a stage works on: what the bytes are, and either the bytes or where they are. */
export interface StageSource {
  readonly content: Extract<WorkSpec['content'], { case: string }>;
  readonly sizeBytes: number;
  readonly bytes?: Uint8Array | undefined;
  readonly blob?: BlobRef | undefined;
}

export interface StageRequest {
  readonly stage: Stage;
  readonly source: StageSource;
  readonly result: Extract<WorkSpec['result'], { case: string }>;
  readonly destination: Destination;
  /** What of the source's colours is kept. */
  readonly color: ColorPolicy;
  /** How long ago the first stage of the pipeline was sent, in ms; 0 for that one itself. */
  readonly ageMs: number;
  /** For an encoded result: tried beside its format. */
  readonly alternative?: CodedFormat | undefined;
}

/** A stage's reply, held whole. `release` gives back its memory. */
export interface StageReply {
  readonly header: WorkHeader;
  /** The result, unless `header.blob` says where it is. */
  readonly bytes: Uint8Array | undefined;
  release(): void;
}

const paths = {
  [WorkerKind.RESIZE]: `/${ResizeService.typeName}/${ResizeService.method.resize.name}`,
  [WorkerKind.FILTER]: `/${FilterService.typeName}/${FilterService.method.filter.name}`,
};

/** Kept metadata (1 MiB), an ICC profile, and the rest of a header. */
const maxHeaderBytes = 4 * 1024 * 1024;

/** Payload of the chunk messages sent; the protocol allows 1 MiB. */
const chunkBytes = 512 * 1024;

export interface SendOptions {
  readonly storeId: string;
  readonly budget: MemoryBudget;
  /** Replicas that died while they ran it. */
  readonly deaths: number;
}

/** Sends the stage to a balancer and holds the reply. Throws what the replica, the balancer or the wire says. */
export async function sendStage(
  pool: SessionPool,
  call: CallContext,
  request: StageRequest,
  { storeId, budget, deaths }: SendOptions,
): Promise<StageReply> {
  const { stage } = request;
  const wire = openWireCall(pool, {
    path: paths[stage.worker],
    metadata: {
      [REQUEST_ID_HEADER]: call.requestId,
      [TRACEPARENT_HEADER]: formatTraceparent(call.trace),
      [IM_COST]: String(stage.costMs),
      [IM_FORMAT]: stage.formats,
      [IM_CLASS]: call.class,
      ...(stage.names.length > 0 && { [IM_OP]: stage.names.join(',') }),
      ...(request.ageMs > 0 && { [IM_AGE]: request.ageMs.toFixed(1) }),
      ...(deaths > 0 && { [IM_DEATHS]: String(deaths) }),
      ...(needsStore(request) && { [IM_STORE]: storeId }),
    },
    deadline: call.deadline,
    signal: call.signal,
  });
  let release: () => void = () => {};
  try {
    // A failure to send also ends the reading below, with the better reason: the status of the reply.
    send(wire, request).catch(() => {});
    const first = await wire.reader.message(maxHeaderBytes);
    if (first === undefined) throw brokenReply(await wire.status);
    const header = parseHeader(first);
    const sizeBytes = Number(header.sizeBytes);
    let bytes: Uint8Array | undefined;
    if (header.blob === undefined) {
      release = budget.take(sizeBytes);
      bytes = Buffer.allocUnsafe(sizeBytes);
      await wire.reader.chunksInto(bytes);
    } else {
      await wire.reader.chunksInto(new Uint8Array(0));
    }
    await wire.status;
    return { header, bytes, release };
  } catch (error) {
    wire.cancel();
    release();
    throw error;
  }
}

/** Whether the replica must share the store. */
export function needsStore({ stage, source, destination }: StageRequest): boolean {
  return source.blob !== undefined || destination !== Destination.INLINE || stage.names.includes('watermark');
}

async function send(
  wire: ClientWireCall,
  { stage, source, result, destination, color, alternative }: StageRequest,
): Promise<void> {
  const spec = create(WorkSpecSchema, {
    content: source.content,
    sizeBytes: BigInt(source.sizeBytes),
    operations: [...stage.operations],
    result,
    destination,
    color,
    ...(alternative !== undefined && { alternativeFormat: alternative }),
    ...(source.blob !== undefined && { blob: source.blob }),
  });
  // FilterRequest is the same on the wire.
  await wire.writer.message(
    toBinary(ResizeRequestSchema, create(ResizeRequestSchema, { message: { case: 'spec', value: spec } })),
  );
  if (source.bytes !== undefined) await wire.writer.chunks(source.bytes, chunkBytes);
  wire.end();
}

function parseHeader(bytes: Uint8Array): WorkHeader {
  const { message } = fromBinary(ResizeResponseSchema, bytes);
  if (message.case !== 'header' || message.value.content.case === undefined) throw brokenReply(message);
  return message.value;
}

function brokenReply(cause: unknown): MeshError {
  return new MeshError('INTERNAL', 'an inner service sent a reply without a header', { cause });
}
