/**
 * Uploads in chunks that can be sent again. What was written lies in the store, so that any gateway takes the next chunk,
 * and so does one that starts again after a crash.
 */

import { crc32c, type Image } from '@imagemesh/api';
import type { ImageLimits } from '@imagemesh/image';
import { invalidField, MeshError, toMeshError } from '@imagemesh/rpc';
import { type Claims, type Upload, type Uploads, uploadChunkBytes } from '@imagemesh/store';
import { checkBodySize } from './body.ts';
import { imageNotFound } from './inner-errors.ts';
import { createImageInspector } from './inspect.ts';
import type { StoreCall, StoreImage } from './store-image.ts';

export interface Chunk {
  readonly offset: number;
  readonly data: Uint8Array;
  /** Where known: other bytes are DIGEST_MISMATCH. */
  readonly crc32c: number | undefined;
}

export interface ResumableUploads {
  start(owner: string, size: { readonly sizeBytes: number; readonly filename: string }): Promise<Upload>;
  /** Bytes held from the start without a gap. */
  write(owner: string, id: string, chunk: Chunk): Promise<number>;
  query(owner: string, id: string): Promise<Upload>;
  finish(call: StoreCall, id: string, sha256: string | undefined): Promise<Image>;
  cancel(owner: string, id: string): Promise<void>;
}

export interface ResumableUploadsParts {
  readonly uploads: Uploads;
  readonly storeImage: StoreImage;
  readonly claims: Pick<Claims, 'get'>;
  readonly limits: ImageLimits;
}

export function createResumableUploads(parts: ResumableUploadsParts): ResumableUploads {
  const { uploads, storeImage, claims, limits } = parts;

  async function write(owner: string, id: string, chunk: Chunk): Promise<number> {
    const { offset, data } = chunk;
    checkChecksum(chunk);
    const upload = await uploads.find(owner, id);
    if (upload.imageId !== undefined) {
      throw new MeshError('UPLOAD_OFFSET_INVALID', 'the upload is finished; nothing can be written to it');
    }
    checkPlace(upload, chunk);
    if (upload.persistedBytes === 0) await refusing(owner, id, () => createImageInspector(limits).push(data));
    if (!(await uploads.write(owner, upload, offset, data))) {
      const held = await uploads.readChunk(owner, id, offset);
      if (held !== undefined && !held.equals(data)) {
        throw invalidField('data', `differs from what is held already at ${offset}`);
      }
    }
    return Math.max(upload.persistedBytes, offset + data.length);
  }

  /** The bytes, in order, and no more of them than are there. */
  async function* bytesOf(owner: string, { id, sizeBytes }: Upload): AsyncIterable<Uint8Array> {
    for (let offset = 0; offset < sizeBytes; offset += uploadChunkBytes) {
      const chunk = await uploads.readChunk(owner, id, offset);
      if (chunk === undefined) throw new MeshError('UPLOAD_NOT_FOUND', 'the upload was cancelled meanwhile');
      yield chunk;
    }
  }

  async function finish(call: StoreCall, id: string, sha256: string | undefined): Promise<Image> {
    const { owner } = call;
    const upload = await uploads.find(owner, id);
    if (upload.imageId !== undefined) return finished(owner, upload.imageId, sha256);
    const { sizeBytes, persistedBytes } = upload;
    if (persistedBytes < sizeBytes) {
      throw new MeshError(
        'SIZE_MISMATCH',
        `${persistedBytes} of ${sizeBytes} bytes have come; go on from there`,
        {
          metadata: { persisted_size: String(persistedBytes), size_bytes: String(sizeBytes) },
          violations: [
            { field: 'upload_id', description: `has ${persistedBytes} of ${sizeBytes} bytes so far` },
          ],
        },
      );
    }
    const filename = await uploads.filename(owner, upload);
    const image = await refusing(owner, id, () =>
      storeImage(call, bytesOf(owner, upload), { sizeBytes, filename, sha256 }),
    );
    await uploads.finish(owner, upload, image.id);
    return image;
  }

  async function finished(owner: string, imageId: string, sha256: string | undefined): Promise<Image> {
    const image = await claims.get(owner, imageId);
    if (image === undefined) throw imageNotFound(imageId);
    if (sha256 === undefined || sha256 === imageId) return image;
    throw new MeshError('DIGEST_MISMATCH', `the bytes have SHA-256 ${imageId}, not ${sha256}`, {
      metadata: { sha256: imageId, expectedSha256: sha256 },
    });
  }

  /** Bytes that can never become an image are not kept. */
  async function refusing<Result>(
    owner: string,
    id: string,
    check: () => Result | Promise<Result>,
  ): Promise<Result> {
    try {
      return await check();
    } catch (error) {
      const { code, reason } = toMeshError(error);
      if (code === 'invalid_argument' || reason === 'TOO_MANY_PIXELS') await uploads.remove(owner, id);
      throw error;
    }
  }

  return {
    async start(owner, { sizeBytes, filename }) {
      checkBodySize(sizeBytes, limits.maxInputBytes);
      return uploads.start(owner, { sizeBytes, filename });
    },
    write,
    async query(owner, id) {
      const upload = await uploads.find(owner, id);
      if (upload.imageId === undefined) return upload;
      const sizeBytes = Number((await claims.get(owner, upload.imageId))?.info?.sizeBytes ?? 0n);
      return { ...upload, sizeBytes, persistedBytes: sizeBytes };
    },
    finish,
    cancel: (owner, id) => uploads.remove(owner, id),
  };
}

function checkChecksum({ data, crc32c: expected }: Chunk): void {
  if (expected === undefined) return;
  const actual = crc32c(data);
  if (actual === expected) return;
  const description = `the bytes have CRC-32C ${actual}, not ${expected}; send them again`;
  throw new MeshError('DIGEST_MISMATCH', `crc32c: ${description}`, {
    metadata: { crc32c: String(actual) },
    violations: [{ field: 'crc32c', description }],
  });
}

function checkPlace({ sizeBytes, persistedBytes }: Upload, { offset, data }: Chunk): void {
  if (offset > persistedBytes || offset % uploadChunkBytes !== 0 || offset >= sizeBytes) {
    const where =
      persistedBytes === sizeBytes ? 'all bytes have come' : `the next chunk begins at ${persistedBytes}`;
    throw new MeshError(
      'UPLOAD_OFFSET_INVALID',
      `write_offset: no chunk of this upload begins at ${offset}; ${where}`,
      { metadata: { persisted_size: String(persistedBytes), chunk_size: String(uploadChunkBytes) } },
    );
  }
  const wanted = Math.min(uploadChunkBytes, sizeBytes - offset);
  if (data.length !== wanted) {
    throw invalidField('data', `has ${data.length} bytes; the chunk at ${offset} must have ${wanted}`);
  }
}
