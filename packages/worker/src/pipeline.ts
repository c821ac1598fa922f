/** One call through the sub-agents: validate → load → process → format → save. */
import { create, toBinary } from '@bufbuild/protobuf';
import { ResizeResponseSchema, type WorkHeader, WorkHeaderSchema, type WorkSpec } from '@imagemesh/api';
import { type ImageLimits, operationName } from '@imagemesh/image';
import type { Logger } from '@imagemesh/observe';
import { deadlineExceeded, remainingMs, type ServerWireCall, type WireWriter } from '@imagemesh/rpc';
import type { BlobStore } from '@imagemesh/store';
import type { Agents, Formatted, WorkCall } from './agents.ts';
import { createImageLoader, loadBytes, toWork } from './load.ts';
import { readSpec } from './read-spec.ts';
import { saveResult } from './save.ts';

export interface PipelineOptions<Picture> {
  readonly agents: Agents<Picture>;
  readonly operations: ReadonlySet<string>;
  readonly limits: ImageLimits;
  readonly store: BlobStore | undefined;
  readonly replicaId: string;
  readonly log: Logger;
}

/** What a call was and how long its parts took, for the log line; filled in as the call goes. */
export interface WorkTimes {
  operations: readonly string[];
  /** Until the source was there: waiting for the caller or the store. */
  queueMs: number;
  /** Checking, processing, encoding and storing. */
  execMs: number;
}

/** A result that is ready to be sent. */
export interface Reply {
  readonly header: WorkHeader;
  /** Undefined where the result is in the store. */
  readonly bytes: Uint8Array | undefined;
  release(): void;
}

/** Does the work. Settles only when it has really ended, also after an abort; then it rejects with the abort's reason. */
export async function doWork<Picture>(
  call: ServerWireCall,
  options: PipelineOptions<Picture>,
  times: WorkTimes,
): Promise<Reply> {
  const { agents, operations, limits, store, replicaId, log } = options;
  const { signal } = call;
  const startedMs = performance.now();
  const spec: WorkSpec = await readSpec(call.reader, operations, limits);
  times.operations = spec.operations.map((operation) => operationName(operation));
  const bytes = await loadBytes(spec, call.reader, store, signal);
  const loadedMs = performance.now();
  times.queueMs = loadedMs - startedMs;

  const workCall: WorkCall = {
    requestId: call.requestId,
    signal,
    remainingMs: () => leftMs(call),
    limits,
    log,
    loadImage: createImageLoader(store, limits, signal),
  };
  let formatted: Formatted | undefined;
  try {
    const work = toWork(spec, bytes, limits);
    agents.validate(work);
    signal.throwIfAborted();
    const picture = await agents.process(work, workCall);
    formatted = await agents.format(picture, work, workCall);
    signal.throwIfAborted();
    // What is measured or found has no bytes to keep.
    const isSaved = formatted.content.case === 'encoded' || formatted.content.case === 'pixels';
    const blob = isSaved ? await saveResult(spec, formatted, store, signal) : undefined;
    times.execMs = performance.now() - loadedMs;
    const { content, encoding, release } = formatted;
    const header = create(WorkHeaderSchema, {
      content,
      sizeBytes: BigInt(formatted.bytes.length),
      ...(blob !== undefined && { blob }),
      ...(encoding !== undefined && { encoding }),
      replicaId,
      execMs: times.execMs,
      queueMs: times.queueMs,
    });
    return { header, bytes: blob === undefined ? formatted.bytes : undefined, release: () => release?.() };
  } catch (error) {
    times.execMs = performance.now() - loadedMs;
    formatted?.release?.();
    throw error;
  }
}

/** Sends the header, then the chunks. FilterResponse is the same on the wire. */
export async function sendReply({ header, bytes }: Reply, writer: WireWriter): Promise<void> {
  const message = create(ResizeResponseSchema, { message: { case: 'header', value: header } });
  await writer.message(toBinary(ResizeResponseSchema, message));
  if (bytes !== undefined) await writer.chunks(bytes);
}

function leftMs({ deadline }: ServerWireCall): number {
  if (deadline === undefined) return 3_600_000;
  const left = remainingMs(deadline);
  if (left <= 0) throw deadlineExceeded();
  return left;
}
