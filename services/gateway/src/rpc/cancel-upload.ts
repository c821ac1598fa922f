/** UploadService.CancelUpload: deletes what an upload has written. */
import { create } from '@bufbuild/protobuf';
import {
  type CancelUploadRequest,
  type CancelUploadResponse,
  CancelUploadResponseSchema,
} from '@imagemesh/api';
import type { ResumableUploads } from '../resumable-uploads.ts';
import type { Unary } from './call-shapes.ts';

export function cancelUpload(uploads: ResumableUploads): Unary<CancelUploadRequest, CancelUploadResponse> {
  return async ({ uploadId }, { owner }) => {
    await uploads.cancel(owner, uploadId);
    return create(CancelUploadResponseSchema);
  };
}
