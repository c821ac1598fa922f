/**
 * Stages for replicas that do not share the gateway's store: what would go by reference goes as bytes. The balancer says
 * STORE_NOT_SHARED where only such replicas are there; then, and for a while after, the gateway reads the source itself and
 * stores the result itself. A watermark is read by the replica: such a stage needs one that shares the store.
 */
import { create } from '@bufbuild/protobuf';
import { Destination, type WorkerKind, WorkHeaderSchema } from '@imagemesh/api';
import type { Logger } from '@imagemesh/observe';
import { MeshError } from '@imagemesh/rpc';
import type { BlobStore } from '@imagemesh/store';
import { imageRef } from './blob-refs.ts';
import type { CallContext } from './call.ts';
import type { MemoryBudget } from './memory-budget.ts';
import { needsStore, type StageReply, type StageRequest } from './send-stage.ts';

export interface WithoutStoreParts {
  readonly store: Pick<BlobStore, 'readImage' | 'readTemporary' | 'putImage'>;
  readonly budget: MemoryBudget;
  readonly log: Logger;
  /** Default performance.now. */
  readonly now?: () => number;
}

type Send = (request: StageRequest) => Promise<StageReply>;

/** How long bytes are sent without asking again whether a replica shares the store. */
const rememberMs = 10_000;

/** Sends a stage by reference where it may, else as bytes. */
export function createSendEither({ store, budget, log, now = () => performance.now() }: WithoutStoreParts) {
  const untilMs = new Map<WorkerKind, number>();

  return async (call: CallContext, request: StageRequest, send: Send): Promise<StageReply> => {
    const { worker, names } = request.stage;
    if (!needsStore(request) || names.includes('watermark')) return send(request);
    if (now() < (untilMs.get(worker) ?? 0)) return sendBytes(call, request, send);
    try {
      return await send(request);
    } catch (error) {
      if (!(error instanceof MeshError) || error.reason !== 'STORE_NOT_SHARED') throw error;
      log.warn({ ...error.metadata }, 'no replica shares the store: bytes are sent for references');
      untilMs.set(worker, now() + rememberMs);
      return sendBytes(call, request, send);
    }
  };

  async function sendBytes(
    call: CallContext,
    { source, destination, ...rest }: StageRequest,
    send: Send,
  ): Promise<StageReply> {
    const { blob, ...inline } = source;
    const isRead = source.bytes === undefined && blob !== undefined;
    const release = isRead ? budget.take(source.sizeBytes) : () => {};
    try {
      const bytes = isRead ? await read(blob.key, call.signal) : source.bytes;
      const reply = await send({ ...rest, source: { ...inline, bytes }, destination: Destination.INLINE });
      return destination === Destination.IMAGE ? await stored(reply, call.signal) : reply;
    } finally {
      release();
    }
  }

  async function read(
    { case: kind, value = '' }: NonNullable<StageRequest['source']['blob']>['key'],
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const found = kind === 'temporaryId' ? await store.readTemporary(value) : await store.readImage(value);
    return found.bytes(signal);
  }

  async function stored({ header, bytes, release }: StageReply, signal: AbortSignal): Promise<StageReply> {
    try {
      if (bytes === undefined)
        throw new MeshError('INTERNAL', 'a replica sent no bytes where bytes were asked for');
      const { id } = await store.putImage(bytes, { maxBytes: bytes.byteLength, signal });
      return {
        header: create(WorkHeaderSchema, { ...header, blob: imageRef(id) }),
        bytes: undefined,
        release: () => {},
      };
    } finally {
      release();
    }
  }
}
