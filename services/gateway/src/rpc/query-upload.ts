/** UploadService.QueryUpload: how far an upload has come. */
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { type QueryUploadRequest, type QueryUploadResponse, QueryUploadResponseSchema } from '@imagemesh/api';
import type { ResumableUploads } from '../resumable-uploads.ts';
import type { Unary } from './call-shapes.ts';

export function queryUpload(uploads: ResumableUploads): Unary<QueryUploadRequest, QueryUploadResponse> {
  return async ({ uploadId }, { owner }) => {
    const { persistedBytes, sizeBytes, expireMs } = await uploads.query(owner, uploadId);
    return create(QueryUploadResponseSchema, {
      persistedSize: BigInt(persistedBytes),
      sizeBytes: BigInt(sizeBytes),
      expireTime: timestampFromMs(expireMs),
    });
  };
}
