/** Stores an image for a caller: its header is checked while its bytes are written, the claim follows, then the event. */
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { type Image, ImageEventSchema, ImageSchema } from '@imagemesh/api';
import type { EventPublisher } from '@imagemesh/events';
import type { ImageLimits } from '@imagemesh/image';
import type { TraceContext } from '@imagemesh/observe';
import { MeshError } from '@imagemesh/rpc';
import type { BlobStore, Claims } from '@imagemesh/store';
import { checkBodySize } from './body.ts';
import type { Caller } from './identity/caller.ts';
import { createImageInspector, type ImageInspector } from './inspect.ts';
import type { MemoryBudget } from './memory-budget.ts';

export interface StoreCall {
  readonly owner: string;
  /** Whose limits the bytes count for; nobody's if absent. */
  readonly caller?: Caller;
  readonly requestId: string;
  readonly trace: TraceContext;
  readonly signal: AbortSignal;
}

export interface StoreImageOptions {
  /** Where known: another size is SIZE_MISMATCH. */
  readonly sizeBytes?: number | undefined;
  /** Where known: other bytes are DIGEST_MISMATCH. */
  readonly sha256?: string | undefined;
  readonly filename?: string | undefined;
}

/** The stored image, as first claimed by the caller. */
export type StoreImage = (
  call: StoreCall,
  bytes: Uint8Array | AsyncIterable<Uint8Array>,
  options?: StoreImageOptions,
) => Promise<Image>;

export interface StoreImageParts {
  readonly store: BlobStore;
  readonly claims: Claims;
  readonly events: EventPublisher;
  readonly limits: ImageLimits;
  readonly budget: MemoryBudget;
  /** How long the caller holds it; undefined: until it is deleted. */
  readonly ttlMs?: number | undefined;
  /** Whether the store is over its budget: then nothing is stored, STORE_FULL. Default never. */
  readonly isFull?: () => boolean;
}

export function createStoreImage(parts: StoreImageParts): StoreImage {
  const { store, claims, events, limits, budget, ttlMs, isFull = () => false } = parts;
  return async (call, bytes, { sizeBytes, sha256, filename = '' } = {}) => {
    const maxBytes = limits.maxInputBytes;
    if (sizeBytes !== undefined) checkBodySize(sizeBytes, maxBytes);
    call.caller?.usage.check();
    if (isFull()) {
      throw new MeshError(
        'STORE_FULL',
        'the store is over its budget (STORE_MAX_BYTES), and all in it is needed',
        {
          retryAfterMs: 60_000,
        },
      );
    }
    const inspector = createImageInspector(limits);
    const checked = check(bytes instanceof Uint8Array ? [bytes] : bytes, inspector, sizeBytes);
    const stored = await store.putImage(checked, {
      maxBytes,
      signal: call.signal,
      ...(sha256 !== undefined && { expectedSha256: sha256 }),
    });
    const { id } = stored;
    call.caller?.usage.image({ bytes: stored.sizeBytes });
    const info = await inspector.finish(stored.sizeBytes, async (use) => {
      const release = budget.take(stored.sizeBytes);
      try {
        use(await (await store.readImage(id)).bytes(call.signal));
      } finally {
        release();
      }
    });
    const nowMs = Date.now();
    const image = await claims.add(
      call.owner,
      create(ImageSchema, {
        ...{ id, info, filename, createTime: timestampFromMs(nowMs) },
        ...(ttlMs !== undefined && { expireTime: timestampFromMs(nowMs + ttlMs) }),
      }),
    );
    events.offer({
      type: 'imagemesh.image.uploaded',
      subject: id,
      owner: call.owner,
      schema: ImageEventSchema,
      data: create(ImageEventSchema, { image }),
      trace: call.trace,
      requestId: call.requestId,
    });
    return image;
  };
}

/** The bytes as they are, checked on their way; throws before they are an image in the store. */
async function* check(
  bytes: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  inspector: ImageInspector,
  expectedBytes: number | undefined,
): AsyncIterable<Uint8Array> {
  let sizeBytes = 0;
  for await (const part of bytes) {
    sizeBytes += part.length;
    inspector.push(part);
    yield part;
  }
  if (expectedBytes !== undefined && sizeBytes !== expectedBytes) {
    throw new MeshError('SIZE_MISMATCH', `size_bytes is ${expectedBytes}, but ${sizeBytes} came`, {
      violations: [{ field: 'size_bytes', description: `${sizeBytes} bytes came` }],
    });
  }
  inspector.end(sizeBytes);
}
