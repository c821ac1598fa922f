/** UploadService.StartUpload: begins an upload. */
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { type StartUploadRequest, type StartUploadResponse, StartUploadResponseSchema } from '@imagemesh/api';
import { uploadChunkBytes } from '@imagemesh/store';
import type { ResumableUploads } from '../resumable-uploads.ts';
import type { Unary } from './call-shapes.ts';

export function startUpload(uploads: ResumableUploads): Unary<StartUploadRequest, StartUploadResponse> {
  return async ({ sizeBytes, filename }, { owner }) => {
    const { id, expireMs } = await uploads.start(owner, { sizeBytes: Number(sizeBytes), filename });
    return create(StartUploadResponseSchema, {
      uploadId: id,
      chunkSize: uploadChunkBytes,
      expireTime: timestampFromMs(expireMs),
    });
  };
}
