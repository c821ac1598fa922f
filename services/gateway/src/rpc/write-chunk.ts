/** UploadService.WriteChunk: holds a chunk of an upload. */
import { create } from '@bufbuild/protobuf';
import { type WriteChunkRequest, type WriteChunkResponse, WriteChunkResponseSchema } from '@imagemesh/api';
import type { ResumableUploads } from '../resumable-uploads.ts';
import type { Unary } from './call-shapes.ts';

export function writeChunk(uploads: ResumableUploads): Unary<WriteChunkRequest, WriteChunkResponse> {
  return async ({ uploadId, writeOffset, data, crc32c }, { owner }) => {
    const persisted = await uploads.write(owner, uploadId, { offset: Number(writeOffset), data, crc32c });
    return create(WriteChunkResponseSchema, { persistedSize: BigInt(persisted) });
  };
}
