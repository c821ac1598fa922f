/**
 * Where things lie under the root of a file store. The only maker of paths: every id is checked against its strict
 * form first, so that no name from outside ever reaches a path.
 *
 *     store-id                       the store's random id
 *     images/ab/abcdef…              an image, by SHA-256
 *     temporary/<ulid>               a blob between two stages
 *     incoming/<random>              a write that has not ended
 *     condemned/abcdef…-<random>     an image that a sweep looks at for the last time
 *     damaged/abcdef…                an image whose bytes were found to be others
 *
 * Claims, what lists them, and uploads are entries beside these: see claim-keys.ts and uploads.ts.
 */
import { join } from 'node:path';
import { MeshError } from '@imagemesh/rpc';
import { isUlid } from './ulid.ts';

const imageIdPattern = /^[0-9a-f]{64}$/;

export function isImageId(text: string): boolean {
  return imageIdPattern.test(text);
}

export function imagesFolder(root: string): string {
  return join(root, 'images');
}

export function temporaryFolder(root: string): string {
  return join(root, 'temporary');
}

export function incomingFolder(root: string): string {
  return join(root, 'incoming');
}

export function condemnedFolder(root: string): string {
  return join(root, 'condemned');
}

export function damagedFolder(root: string): string {
  return join(root, 'damaged');
}

export function storeIdPath(root: string): string {
  return join(root, 'store-id');
}

/** BLOB_NOT_FOUND if the id cannot be one. */
export function imagePath(root: string, id: string): string {
  if (!isImageId(id)) throw blobNotFound('image', id);
  return join(imagesFolder(root), id.slice(0, 2), id);
}

/** BLOB_NOT_FOUND if the id cannot be one. */
export function temporaryPath(root: string, id: string): string {
  if (!isUlid(id)) throw blobNotFound('temporary blob', id);
  return join(temporaryFolder(root), id);
}

export function blobNotFound(type: string, id: string): MeshError {
  const name = id.slice(0, 64);
  return new MeshError('BLOB_NOT_FOUND', `there is no ${type} ${JSON.stringify(name)}`, {
    resource: { type, name },
  });
}
