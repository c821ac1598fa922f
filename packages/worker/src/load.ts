/** The store agent's first half: the source's bytes, from the call or from the store, and what their header says. */
import { ColorPolicy, type WorkSpec } from '@imagemesh/api';
import {
  checkFormatSize,
  checkInput,
  type EncodedSource,
  formatNames,
  type ImageLimits,
  isCodedFormat,
  pipelineSizes,
  planFrames,
  probeWhole,
  resolveOutput,
  type Source,
  sourceFrames,
  sourceSize,
} from '@imagemesh/image';
import { invalidField, MeshError, type WireReader } from '@imagemesh/rpc';
import type { BlobStore } from '@imagemesh/store';
import type { Work } from './agents.ts';
import { resultOf } from './read-spec.ts';

/** The whole source. SIZE_MISMATCH where it has not the size announced; BLOB_NOT_FOUND. */
export async function loadBytes(
  spec: WorkSpec,
  reader: WireReader,
  store: BlobStore | undefined,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const sizeBytes = Number(spec.sizeBytes);
  const { key } = spec.blob ?? {};
  if (key === undefined) {
    // A buffer of its own: pooled ones are shared, and sharp reads it from other threads.
    const target = Buffer.allocUnsafeSlow(sizeBytes);
    await readChunks(reader, target);
    return target;
  }
  // Chunks beside a blob would be two sources.
  await readChunks(reader, Buffer.alloc(0));
  if (store === undefined) throw noStore(key.value ?? '');
  const blob = await (key.case === 'temporaryId'
    ? store.readTemporary(key.value)
    : store.readImage(key.value ?? ''));
  if (blob.sizeBytes !== sizeBytes) {
    throw new MeshError('SIZE_MISMATCH', `size_bytes: ${sizeBytes}; the blob has ${blob.sizeBytes} bytes`, {
      violations: [{ field: 'size_bytes', description: `must be ${blob.sizeBytes}` }],
    });
  }
  return blob.bytes(signal);
}

/**
 * Loads stored images beside the source, still and within the limits. They are kept for the call, each frame of an animation
 * asks again, as long as they have no more bytes together than one source may have.
 */
export function createImageLoader(
  store: BlobStore | undefined,
  limits: ImageLimits,
  signal: AbortSignal,
): (imageId: string) => Promise<EncodedSource> {
  const kept = new Map<string, EncodedSource>();
  let keptBytes = 0;
  return async (imageId) => {
    const known = kept.get(imageId);
    if (known !== undefined) return known;
    const image = await loadImage(imageId, store, limits, signal);
    keptBytes += image.bytes.length;
    if (keptBytes <= limits.maxInputBytes) kept.set(imageId, image);
    return image;
  };
}

async function loadImage(
  imageId: string,
  store: BlobStore | undefined,
  limits: ImageLimits,
  signal: AbortSignal,
): Promise<EncodedSource> {
  if (store === undefined) throw noStore(imageId);
  const blob = await store.readImage(imageId);
  const bytes = await blob.bytes(signal);
  const header = probeWhole(bytes);
  checkInput(header, limits);
  if (header.frames > 1) {
    throw new MeshError('ANIMATION_REFUSED', `image ${imageId} is animated; a still image is put over`, {
      metadata: { frames: String(header.frames) },
    });
  }
  return { kind: 'encoded', bytes, header };
}

function noStore(name: string): MeshError {
  return new MeshError('BLOB_NOT_FOUND', 'this replica shares no store', {
    resource: { type: 'blob', name },
  });
}

/** The wire knows of first messages; here that is the spec. */
async function readChunks(reader: WireReader, target: Uint8Array): Promise<void> {
  try {
    await reader.chunksInto(target);
  } catch (error) {
    const isSecondSpec =
      error instanceof MeshError && error.violations.some(({ field }) => field === 'message');
    throw isSecondSpec ? invalidField('spec', 'came a second time; only chunks may follow it') : error;
  }
}

/** The work, whole and within the limits, by the header alone: nothing has been decoded yet. */
export function toWork(spec: WorkSpec, bytes: Uint8Array, limits: ImageLimits): Work {
  const source = toSource(spec, bytes);
  if (source.kind === 'encoded') checkInput(source.header, limits);
  const { frames } = planFrames(sourceFrames(source), spec.operations);
  const sizes = pipelineSizes(sourceSize(source), spec.operations, limits, 'operations', frames);
  const result = resultOf(spec);
  const last = sizes.at(-1);
  if (result.kind === 'encoded' && last !== undefined)
    checkFormatSize(last, resolveOutput(result.output).format);
  const color = spec.color === ColorPolicy.KEEP ? ColorPolicy.KEEP : ColorPolicy.SRGB;
  return { source, operations: spec.operations, sizes, color, result };
}

function toSource({ content }: WorkSpec, bytes: Uint8Array): Source {
  switch (content.case) {
    case 'pixels':
      return { kind: 'pixels', bytes, content: content.value };
    case 'encoded': {
      const header = probeWhole(bytes);
      const { format } = content.value;
      if (format !== header.format && isCodedFormat(format)) {
        const found = formatNames(header.format).name;
        throw invalidField('encoded.format', `says ${formatNames(format).name}, but the bytes are ${found}`);
      }
      return { kind: 'encoded', bytes, header };
    }
    case undefined:
      throw invalidField('content', 'must be set');
    default:
      return content satisfies never;
  }
}
