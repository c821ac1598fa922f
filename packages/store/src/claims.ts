/** Who holds which image. Claims lie beside the blobs, so that uploads and downloads need no NATS. */
import { readFile } from 'node:fs/promises';
import { fromJson, type JsonValue, toJson } from '@bufbuild/protobuf';
import { type Image, ImageSchema } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import { storeRoot } from './blob-store.ts';
import { systemCode, toStoreError } from './file-errors.ts';
import { claimPath } from './file-layout.ts';
import { openIncoming } from './file-write.ts';

/** Owner of every claim until callers have keys. */
export const ANONYMOUS = 'anonymous';

/** An owner is 1 to 64 of A-Z a-z 0-9 _ -. */
export interface Claims {
  /** The owner now holds the image. If it did before, the claim stays as it was; either way, the claim. */
  add(owner: string, image: Image): Promise<Image>;
  /** The owner's claim; undefined without one. */
  get(owner: string, imageId: string): Promise<Image | undefined>;
}

/** The claims beside the blobs of the store that the URL names. */
export function openClaims(url: string): Claims {
  const root = storeRoot(url);

  async function get(owner: string, imageId: string): Promise<Image | undefined> {
    const path = claimPath(root, owner, imageId);
    if (path === undefined) return undefined;
    try {
      // A parse boundary: fromJson checks the value.
      return fromJson(ImageSchema, JSON.parse(await readFile(path, 'utf8')) as JsonValue, {
        ignoreUnknownFields: true,
      });
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      if (systemCode(error) !== undefined) throw toStoreError(error, 'reading a claim');
      throw new MeshError('STORE_FAILED', 'a claim in the store is damaged', { cause: error });
    }
  }

  async function add(owner: string, image: Image): Promise<Image> {
    const path = claimPath(root, owner, image.id);
    if (path === undefined)
      throw new MeshError('INTERNAL', `no claim of ${owner} on ${image.id} is possible`);
    const existing = await get(owner, image.id);
    if (existing !== undefined) return existing;
    try {
      const incoming = await openIncoming(root);
      try {
        await incoming.write(Buffer.from(JSON.stringify(toJson(ImageSchema, image))));
        if (await incoming.placeNew(path)) return image;
      } finally {
        await incoming.drop();
      }
    } catch (error) {
      throw toStoreError(error, 'writing a claim');
    }
    // Another call was faster.
    return (await get(owner, image.id)) ?? image;
  }

  return { add, get };
}
