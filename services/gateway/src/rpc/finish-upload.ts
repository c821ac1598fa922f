/** UploadService.FinishUpload: an upload becomes an image. */
import { create } from '@bufbuild/protobuf';
import {
  type FinishUploadRequest,
  type FinishUploadResponse,
  FinishUploadResponseSchema,
} from '@imagemesh/api';
import type { ResumableUploads } from '../resumable-uploads.ts';
import type { Unary } from './call-shapes.ts';

export function finishUpload(uploads: ResumableUploads): Unary<FinishUploadRequest, FinishUploadResponse> {
  return async ({ uploadId, sha256 }, call) =>
    create(FinishUploadResponseSchema, { image: await uploads.finish(call, uploadId, sha256) });
}
