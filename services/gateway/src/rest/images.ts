/** GET /images/{id}: the bytes of a stored image. */
import { pipeline } from 'node:stream/promises';
import type { Image } from '@imagemesh/api';
import { formatNames, isCodedFormat } from '@imagemesh/image';
import type { BlobStore, Claims } from '@imagemesh/store';
import { imageGone, imageNotFound } from '../source.ts';
import type { Route } from './route.ts';

export function imagesRoute(claims: Claims, store: BlobStore): Route {
  return {
    method: 'GET',
    pattern: /^\/images\/([0-9a-f]{64})$/,
    name: '/images/{id}',
    access: 'read',
    async serve({ request, response, owner, params: [id = ''], signal }) {
      const image = await claims.get(owner, id);
      if (image === undefined) throw imageNotFound(id);
      // The id is the digest of the bytes: it says whether they are the same.
      const etag = `"${id}"`;
      const headers = {
        etag,
        'cache-control': 'private, max-age=31536000, immutable',
        'x-content-type-options': 'nosniff',
        'content-security-policy': "default-src 'none'; sandbox",
        'cross-origin-resource-policy': 'same-origin',
      };
      if (matches(request.headers['if-none-match'], etag)) {
        response.writeHead(304, headers).end();
        return;
      }
      const blob = await store.readImage(id).catch((error: unknown) => {
        throw imageGone(error, id);
      });
      const { mime, extension } = namesOf(image);
      response.writeHead(200, {
        ...headers,
        'content-type': mime,
        'content-length': String(blob.sizeBytes),
        'content-disposition': `inline; filename="${id.slice(0, 16)}.${extension}"`,
      });
      if (request.method === 'HEAD') response.end();
      else await pipeline(blob.stream(), response, { signal });
    },
  };
}

function namesOf({ info }: Image): { mime: string; extension: string } {
  return info !== undefined && isCodedFormat(info.format)
    ? formatNames(info.format)
    : { mime: 'application/octet-stream', extension: 'bin' };
}

function matches(header: string | undefined, etag: string): boolean {
  const tags = header?.split(',').map((tag) => tag.trim().replace(/^W\//, '')) ?? [];
  return tags.includes('*') || tags.includes(etag);
}
