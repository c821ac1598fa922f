/** GET /images/{id}: the bytes of a stored image. */
import type { BlobStore, Claims } from '@imagemesh/store';
import { imageGone, imageNotFound } from '../inner-errors.ts';
import { sendImage } from './image-reply.ts';
import type { Route } from './route.ts';

export function imagesRoute(claims: Claims, store: BlobStore): Route {
  return {
    method: 'GET',
    pattern: /^\/images\/([0-9a-f]{64})$/,
    name: '/images/{id}',
    access: 'read',
    async serve(call) {
      const [id = ''] = call.params;
      const image = await claims.get(call.owner, id);
      if (image === undefined) throw imageNotFound(id);
      const blob = await store.readImage(id).catch((error: unknown) => {
        throw imageGone(error, id);
      });
      await sendImage(call, {
        info: image.info,
        sizeBytes: blob.sizeBytes,
        name: id.slice(0, 16),
        // The id is the digest of the bytes: it says whether they are the same.
        etag: `"${id}"`,
        headers: {
          'cache-control': 'private, max-age=31536000, immutable',
          'cross-origin-resource-policy': 'same-origin',
        },
        bytes: (start, end) => blob.stream(start, end),
      });
    },
  };
}
