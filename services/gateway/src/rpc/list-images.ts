/** ImageService.ListImages: a page of the caller's images, newest first. */
import { create } from '@bufbuild/protobuf';
import { type ListImagesRequest, type ListImagesResponse, ListImagesResponseSchema } from '@imagemesh/api';
import { invalidField } from '@imagemesh/rpc';
import { type Claims, isListPlace } from '@imagemesh/store';
import type { Unary } from './call-shapes.ts';

const defaultPageSize = 50;

export function listImages(claims: Claims): Unary<ListImagesRequest, ListImagesResponse> {
  return async ({ pageSize, pageToken }, { owner }) => {
    const { images, next } = await claims.list(owner, {
      limit: pageSize || defaultPageSize,
      after: pageToken === '' ? undefined : readToken(pageToken),
    });
    return create(ListImagesResponseSchema, {
      images: [...images],
      nextPageToken: next === undefined ? '' : Buffer.from(next).toString('base64url'),
    });
  };
}

function readToken(token: string): string {
  const place = Buffer.from(token, 'base64url').toString();
  if (!isListPlace(place)) throw invalidField('page_token', 'must be the next_page_token of a page');
  return place;
}
