/** Who holds which image. Claims lie beside the blobs, so that uploads and downloads need no NATS. */
import { fromJson, type JsonValue, toJson } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { type Image, ImageSchema } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import { storeRoot } from './blob-store.ts';
import { claimKey, listedKey, readListedKey } from './claim-keys.ts';
import type { Entries } from './entries.ts';
import { createFileEntries } from './file-entries.ts';

/** Owner of every claim until callers have keys. */
export const ANONYMOUS = 'anonymous';

/** An owner is 1 to 64 of A-Z a-z 0-9 _ -. */
export interface Claims {
  /** The owner now holds the image. If it did before, the claim stays as it was; either way, the claim. */
  add(owner: string, image: Image): Promise<Image>;
  /** The owner's claim; undefined without one. */
  get(owner: string, imageId: string): Promise<Image | undefined>;
  /** Drops the owner's claim; what it was, undefined without one. */
  remove(owner: string, imageId: string): Promise<Image | undefined>;
  /** The owner's images, newest first: those after the place that `ClaimPage.next` named. */
  list(owner: string, options: ListClaimsOptions): Promise<ClaimPage>;
}

export interface ListClaimsOptions {
  /** Most images in the page. */
  readonly limit: number;
  /** Undefined: from the newest on. */
  readonly after: string | undefined;
}

export interface ClaimPage {
  readonly images: readonly Image[];
  /** Where the next page begins; undefined at the end. */
  readonly next: string | undefined;
}

/** The claims beside the blobs of the store that the URL names. */
export function openClaims(url: string): Claims {
  return createClaims(createFileEntries(storeRoot(url)));
}

/** Claims read at once for a page. */
const readsAtOnce = 16;

/**
 * A claim is two entries: by its image and owner, what counts; by owner and time, what lists it. The second is made
 * first and removed last, so that every claim is listed; one without its claim is passed over.
 */
export function createClaims(entries: Entries): Claims {
  async function get(owner: string, imageId: string): Promise<Image | undefined> {
    const key = claimKey(owner, imageId);
    const value = key === undefined ? undefined : await entries.read(key);
    return value === undefined ? undefined : decode(value);
  }

  async function add(owner: string, image: Image): Promise<Image> {
    const key = claimKey(owner, image.id);
    if (key === undefined) throw new MeshError('INTERNAL', `no claim of ${owner} on ${image.id} is possible`);
    const existing = await get(owner, image.id);
    if (existing !== undefined) return existing;
    const listed = listedKeyOf(owner, image);
    await entries.create(listed, new Uint8Array(0));
    if (await entries.create(key, encode(image))) return image;
    // Another call was faster.
    const first = await get(owner, image.id);
    if (first === undefined || listedKeyOf(owner, first) !== listed) await entries.remove(listed);
    return first ?? image;
  }

  async function remove(owner: string, imageId: string): Promise<Image | undefined> {
    const key = claimKey(owner, imageId);
    const claim = await get(owner, imageId);
    if (key === undefined || claim === undefined) return undefined;
    await entries.remove(key);
    await entries.remove(listedKeyOf(owner, claim));
    return claim;
  }

  /** The claim that the entry lists; undefined if it lists none any more. */
  async function listedClaim(owner: string, listed: string): Promise<Image | undefined> {
    const imageId = readListedKey(listed);
    const claim = imageId === undefined ? undefined : await get(owner, imageId);
    return claim !== undefined && listedKeyOf(owner, claim) === listed ? claim : undefined;
  }

  async function list(owner: string, { limit, after }: ListClaimsOptions): Promise<ClaimPage> {
    const images: Image[] = [];
    const folder = `listed/${owner}`;
    let keys: string[] = [];
    let last = after;
    const readKeys = async () => {
      const claims = await Promise.all(keys.map((key) => listedClaim(owner, key)));
      for (const claim of claims) if (claim !== undefined) images.push(claim);
      last = keys.at(-1)?.slice(folder.length + 1) ?? last;
      keys = [];
    };
    for await (const key of entries.list(folder, after && `${folder}/${after}`)) {
      // One more is known: the page is full, and not the last.
      if (images.length + keys.length === limit) {
        await readKeys();
        if (images.length === limit) return { images, next: last };
      }
      keys.push(key);
      if (keys.length === readsAtOnce) await readKeys();
    }
    await readKeys();
    return { images, next: undefined };
  }

  return { add, get, remove, list };
}

function listedKeyOf(owner: string, { id, createTime }: Image): string {
  return listedKey(owner, id, createTime === undefined ? 0 : timestampMs(createTime));
}

function encode(image: Image): Uint8Array {
  return Buffer.from(JSON.stringify(toJson(ImageSchema, image)));
}

function decode(value: Uint8Array): Image {
  try {
    // A parse boundary: fromJson checks the value.
    const json = JSON.parse(Buffer.from(value).toString()) as JsonValue;
    return fromJson(ImageSchema, json, { ignoreUnknownFields: true });
  } catch (error) {
    throw new MeshError('STORE_FAILED', 'a claim in the store is damaged', { cause: error });
  }
}
