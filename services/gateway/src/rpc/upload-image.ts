/** ImageService.UploadImage: stores an image that comes in chunks, straight to the store. */
import { create } from '@bufbuild/protobuf';
import { type UploadImageResponse, UploadImageResponseSchema, type UploadSpec } from '@imagemesh/api';
import { withinTransferTime } from '../call.ts';
import { createHandOff } from '../hand-off.ts';
import type { StoreImage } from '../store-image.ts';
import type { Upload } from './call-shapes.ts';

export function uploadImage(
  storeImage: StoreImage,
  { maxInputBytes, bodyTimeoutMs }: { readonly maxInputBytes: number; readonly bodyTimeoutMs: number },
): Upload<UploadSpec, UploadImageResponse> {
  return async ({ sizeBytes, sha256, filename }, chunks, call) =>
    withinTransferTime(call.signal, bodyTimeoutMs, async (signal) => {
      const handOff = createHandOff<Uint8Array>();
      const storing = storeImage({ ...call, signal }, handOff.items, {
        filename,
        ...(sizeBytes !== undefined && { sizeBytes: Number(sizeBytes) }),
        ...(sha256 !== undefined && { sha256 }),
      });
      const receiving = chunks
        .eachChunk((bytes) => (bytes.length === 0 ? undefined : handOff.put(bytes)), maxInputBytes)
        .then(() => handOff.end(), handOff.end);
      // If storing fails, it stops reading, and receiving ends with that.
      await Promise.race([receiving, storing]);
      return create(UploadImageResponseSchema, { image: await storing });
    });
}
