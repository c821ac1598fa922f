/** ImageService.GetImage: what a stored image is. */
import { create } from '@bufbuild/protobuf';
import { type GetImageRequest, type GetImageResponse, GetImageResponseSchema } from '@imagemesh/api';
import type { Claims } from '@imagemesh/store';
import { imageNotFound } from '../inner-errors.ts';
import type { Unary } from './call-shapes.ts';

export function getImage(claims: Claims): Unary<GetImageRequest, GetImageResponse> {
  return async ({ imageId }, { owner }) => {
    const image = await claims.get(owner, imageId);
    if (image === undefined) throw imageNotFound(imageId);
    return create(GetImageResponseSchema, { image });
  };
}
