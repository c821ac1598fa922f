/** ImageService.DeleteImage: drops the caller's claim; a sweep takes the bytes once nobody needs them. */
import { create } from '@bufbuild/protobuf';
import {
  type DeleteImageRequest,
  type DeleteImageResponse,
  DeleteImageResponseSchema,
  ImageEventSchema,
} from '@imagemesh/api';
import type { EventPublisher } from '@imagemesh/events';
import type { BlobStore, Claims } from '@imagemesh/store';
import type { Unary } from './call-shapes.ts';

export interface DeleteImageParts {
  readonly store: Pick<BlobStore, 'touchImage'>;
  readonly claims: Claims;
  readonly events: EventPublisher;
}

/** The answer is the same whether there was a claim; the event is not. */
export function deleteImage({
  store,
  claims,
  events,
}: DeleteImageParts): Unary<DeleteImageRequest, DeleteImageResponse> {
  return async ({ imageId }, { owner, trace, requestId }) => {
    if ((await claims.get(owner, imageId)) !== undefined) {
      // The time of grace begins now: calls that have found the claim may still be on their way to the bytes.
      await store.touchImage(imageId);
      const image = await claims.remove(owner, imageId);
      if (image !== undefined) {
        events.offer({
          type: 'imagemesh.image.deleted',
          subject: imageId,
          owner,
          schema: ImageEventSchema,
          data: create(ImageEventSchema, { image }),
          trace,
          requestId,
        });
      }
    }
    return create(DeleteImageResponseSchema);
  };
}
