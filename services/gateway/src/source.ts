/** Gets a call's image ready for its pipeline: held, or found in the store, and its header checked. */
import type { Image, ImageInfo, ImageSource } from '@imagemesh/api';
import { checkInput, type ImageLimits, isCodedFormat } from '@imagemesh/image';
import { invalidField, MeshError } from '@imagemesh/rpc';
import type { BlobStore, Claims } from '@imagemesh/store';
import { imageRef, temporaryRef } from './blob-refs.ts';
import { checkBodySize, createBodyHolder, type HeldBody, type HoldOptions, holdBytes } from './body.ts';
import { type IncomingCall, withinTransferTime } from './call.ts';
import { imageNotFound, readHeld } from './inner-errors.ts';
import { createImageInspector, inspectWhole, type WithWhole } from './inspect.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { IncomingChunks } from './rpc/call-shapes.ts';
import type { PipelineSource } from './run-pipeline.ts';

/** Call `release` once, in `finally`. */
export type ReadySource = PipelineSource & { release(): Promise<void> };

export interface Sources {
  /** An image inline or by id. */
  resolve(call: IncomingCall, source: ImageSource | undefined): Promise<ReadySource>;
  /** An image that the caller streams in. */
  receive(call: IncomingCall, chunks: IncomingChunks, sizeBytes: number | undefined): Promise<ReadySource>;
  /** An image of the caller's. IMAGE_NOT_FOUND without a claim. */
  find(call: { readonly owner: string }, imageId: string): Promise<PipelineSource>;
  /** An image that a claim was found on. IMAGE_NOT_FOUND for what can be none. */
  stored(image: Image): PipelineSource;
}

export interface SourceParts {
  readonly store: BlobStore;
  readonly claims: Claims;
  readonly limits: ImageLimits;
  /** What of a body is held in memory. */
  readonly heldInMemoryBytes: number;
  readonly bodyTimeoutMs: number;
}

export function createSources({
  store,
  claims,
  limits,
  heldInMemoryBytes,
  bodyTimeoutMs,
}: SourceParts): Sources {
  const holdOptions = ({ signal, budget }: Pick<IncomingCall, 'signal' | 'budget'>): HoldOptions => ({
    maxBytes: limits.maxInputBytes,
    memoryBytes: heldInMemoryBytes,
    store,
    budget,
    signal,
  });

  async function find(call: { readonly owner: string }, imageId: string): Promise<PipelineSource> {
    const image = await claims.get(call.owner, imageId);
    if (image === undefined) throw imageNotFound(imageId);
    return stored(image);
  }

  function stored({ id, info }: Image): PipelineSource {
    if (info === undefined) throw imageNotFound(id);
    if (!isCodedFormat(info.format))
      throw new MeshError('UNSUPPORTED_FORMAT', 'the image has a format that is not read');
    checkInput({ ...info, format: info.format }, limits);
    return { info, sizeBytes: Number(info.sizeBytes), blob: imageRef(id) };
  }

  return {
    find,
    stored,

    async resolve(call, source) {
      switch (source?.source.case) {
        case 'imageId': {
          const found = await find(call, source.source.value);
          call.caller.usage.image({ pixels: pixelsOf(found.info) });
          return { ...found, release: async () => {} };
        }
        case 'data': {
          const bytes = source.source.value;
          checkBodySize(bytes.length, limits.maxInputBytes);
          const info = inspectWhole(bytes, limits);
          call.caller.usage.image({ bytes: bytes.length, pixels: pixelsOf(info) });
          return ready(info, await holdBytes(bytes, holdOptions(call)));
        }
        default:
          throw invalidField('source', 'data or image_id must be set');
      }
    },

    async receive(call, chunks, sizeBytes) {
      const { caller, budget } = call;
      caller.usage.check();
      return withinTransferTime(call.signal, bodyTimeoutMs, async (signal) => {
        const inspector = createImageInspector(limits);
        const holder = createBodyHolder({
          ...holdOptions({ signal, budget }),
          expectedBytes: sizeBytes,
          inspect: inspector.push,
        });
        try {
          await chunks.eachChunk((bytes) => holder.write(bytes), limits.maxInputBytes);
          const held = await holder.finish();
          try {
            signal.throwIfAborted();
            inspector.end(held.sizeBytes);
            const info = await inspector.finish(held.sizeBytes, withHeld(held, store, budget));
            caller.usage.image({ bytes: held.sizeBytes, pixels: pixelsOf(info) });
            return ready(info, held);
          } catch (error) {
            await held.release();
            throw error;
          }
        } catch (error) {
          await holder.abort(error);
          throw error;
        }
      });
    },
  };
}

/** Of all frames. */
export function pixelsOf({ width, height, frames }: ImageInfo): number {
  return width * height * Math.max(1, frames);
}

function ready(info: ImageInfo, held: HeldBody): ReadySource {
  const { sizeBytes } = held;
  const release = () => held.release();
  return held.kind === 'memory'
    ? { info, sizeBytes, bytes: held.bytes, release }
    : { info, sizeBytes, blob: temporaryRef(held.id), release };
}

function withHeld(held: HeldBody, store: BlobStore, budget: MemoryBudget): WithWhole {
  return async (use) => {
    if (held.kind === 'memory') return use(held.bytes);
    const release = budget.take(held.sizeBytes);
    try {
      use(await (await readHeld(store, held.id)).bytes());
    } finally {
      release();
    }
  };
}
