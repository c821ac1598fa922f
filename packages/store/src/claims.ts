/** Who holds which image. Claims lie beside the blobs, so that uploads and downloads need no NATS. */
import { create, fromJson, type JsonValue, toJson } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { type Image, ImageSchema } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import { storeRoot } from './blob-store.ts';
import {
  claimKey,
  claimsFolder,
  expiringKey,
  listedKey,
  readClaimKey,
  readExpiringKey,
  readListedKey,
} from './claim-keys.ts';
import type { Entries } from './entries.ts';
import { createFileEntries } from './file-entries.ts';

/** Owner of every claim until callers have keys. */
export const ANONYMOUS = 'anonymous';

/** An owner is 1 to 64 of A-Z a-z 0-9 _ -. */
export interface Claims {
  /**
   * The owner now holds the image, which must just have been stored or touched. If it did before, the claim stays as it was,
   * but for an earlier expire_time; either way, the claim.
   */
  add(owner: string, image: Image): Promise<Image>;
  /** The owner's claim; undefined without one. */
  get(owner: string, imageId: string): Promise<Image | undefined>;
  /** Drops the owner's claim; what it was, undefined without one. */
  remove(owner: string, imageId: string): Promise<Image | undefined>;
  /** The owner's images, newest first: those after the place that `ClaimPage.next` named. */
  list(owner: string, options: ListClaimsOptions): Promise<ClaimPage>;
}

/** Claims as a sweep needs them. */
export interface SweptClaims extends Claims {
  /** Ids of images whose ids begin with that byte, 0 to 255, and that somebody holds. */
  claimed(shard: number): Promise<ReadonlySet<string>>;
  /** Drops the claims that end before that time (ms since the epoch), each after `onExpire` has resolved; how many. */
  expire(
    beforeMs: number,
    onExpire: (imageId: string) => Promise<void>,
    signal: AbortSignal,
  ): Promise<number>;
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
export function openClaims(url: string): SweptClaims {
  return createClaims(createFileEntries(storeRoot(url)));
}

/** Claims read at once for a page. */
const readsAtOnce = 16;
const nothing = new Uint8Array(0);

/**
 * A claim is an entry by its image and owner, which is what counts, and one or two that only find it: by owner and time, to
 * list it, and by its end, if it has one. Those are made first and removed last, so that they are there for every claim;
 * one without its claim is passed over.
 */
export function createClaims(entries: Entries): SweptClaims {
  async function get(owner: string, imageId: string): Promise<Image | undefined> {
    const key = claimKey(owner, imageId);
    const value = key === undefined ? undefined : await entries.read(key);
    return value === undefined ? undefined : decode(value);
  }

  async function add(owner: string, image: Image): Promise<Image> {
    const key = claimKey(owner, image.id);
    if (key === undefined) throw new MeshError('INTERNAL', `no claim of ${owner} on ${image.id} is possible`);
    const existing = await get(owner, image.id);
    if (existing !== undefined) return prolong(key, owner, existing, image);
    const listed = listedKeyOf(owner, image);
    await Promise.all([entries.create(listed, nothing), createExpiring(owner, image)]);
    if (await entries.create(key, encode(image))) return image;
    // Another call was faster.
    const first = await get(owner, image.id);
    if (first === undefined || listedKeyOf(owner, first) !== listed) await entries.remove(listed);
    return first === undefined ? image : prolong(key, owner, first, image);
  }

  async function createExpiring(owner: string, image: Image): Promise<void> {
    if (image.expireTime === undefined) return;
    await entries.create(expiringKey(owner, image.id, timestampMs(image.expireTime)), nothing);
  }

  /** The claim, that ends no earlier than the image says. */
  async function prolong(key: string, owner: string, claim: Image, { expireTime }: Image): Promise<Image> {
    if (endOf(claim) >= endOf({ expireTime })) return claim;
    const { expireTime: _, ...rest } = claim;
    const longer = create(ImageSchema, { ...rest, ...(expireTime !== undefined && { expireTime }) });
    await createExpiring(owner, longer);
    await entries.replace(key, encode(longer));
    return longer;
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

  async function claimed(shard: number): Promise<ReadonlySet<string>> {
    const ids = new Set<string>();
    for await (const key of entries.list(claimsFolder(shard))) {
      const imageId = readClaimKey(key);
      if (imageId !== undefined) ids.add(imageId);
    }
    return ids;
  }

  async function expire(
    beforeMs: number,
    onExpire: (imageId: string) => Promise<void>,
    signal: AbortSignal,
  ): Promise<number> {
    let dropped = 0;
    for await (const key of entries.list('expiring')) {
      signal.throwIfAborted();
      const expiring = readExpiringKey(key);
      if (expiring === undefined) continue;
      const { owner, imageId, expireMs } = expiring;
      if (expireMs >= beforeMs) break;
      const claim = await get(owner, imageId);
      // It may have been prolonged, or dropped.
      if (claim !== undefined && endOf(claim) < beforeMs) {
        await onExpire(imageId);
        if ((await remove(owner, imageId)) !== undefined) dropped += 1;
      }
      await entries.remove(key);
    }
    return dropped;
  }

  return { add, get, remove, list, claimed, expire };
}

/** When the claim ends, in ms since the epoch. */
function endOf({ expireTime }: Pick<Image, 'expireTime'>): number {
  return expireTime === undefined ? Number.POSITIVE_INFINITY : timestampMs(expireTime);
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
