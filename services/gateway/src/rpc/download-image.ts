/** ImageService.DownloadImage: the bytes of a stored image, read no faster than the client reads. */
import { create } from '@bufbuild/protobuf';
import {
  type DownloadImageRequest,
  type DownloadImageResponse,
  DownloadImageResponseSchema,
} from '@imagemesh/api';
import type { BlobStore, Claims } from '@imagemesh/store';
import { imageGone, imageNotFound } from '../inner-errors.ts';
import type { Download } from './call-shapes.ts';

export function downloadImage(
  claims: Claims,
  store: BlobStore,
): Download<DownloadImageRequest, DownloadImageResponse> {
  return async ({ imageId }, { owner }) => {
    const image = await claims.get(owner, imageId);
    if (image === undefined) throw imageNotFound(imageId);
    const blob = await store.readImage(imageId).catch((error: unknown) => {
      throw imageGone(error, imageId);
    });
    const first = create(DownloadImageResponseSchema, { message: { case: 'image', value: image } });
    return { first, bytes: blob.stream(), release: async () => {} };
  };
}
