/**
 * Garbage collection by mark and sweep (McCarthy, 1960): marked is what somebody holds a claim on or what a job needs;
 * the rest is unneeded. Unneeded images stay for a while, as storing them again or answering from them is cheap then: until
 * their time is over, or the store is over its budget, oldest first. Nothing is taken within the time of grace after it was last
 * stored or touched: its claim may be on the way. There are no reference counts that a crash could leave wrong.
 *
 * Any number of processes may sweep at the same time. Memory: the claims of one shard of 256, and the candidates.
 */
import type { BlobStore, ListedImage } from './blob-store.ts';
import type { SweptClaims } from './claims.ts';

export interface SweepPolicy {
  /** Time in which nothing that was stored or touched is taken. */
  readonly graceMs: number;
  /** How long images that nobody needs are kept. */
  readonly unclaimedTtlMs: number;
  /** Bytes of images; over it, unneeded ones go before their time. */
  readonly maxBytes: number;
}

export interface SweepParts {
  readonly store: Pick<BlobStore, 'listImages' | 'removeImage' | 'touchImage'>;
  readonly claims: Pick<SweptClaims, 'expire' | 'claimed'>;
  /** Images that jobs need, asked for once claims have been read; undefined if that is not known: then no image is taken. */
  readonly needed: () => Promise<ReadonlySet<string> | undefined>;
  readonly policy: SweepPolicy;
  readonly now: () => number;
  readonly signal: AbortSignal;
}

export interface SweepReport {
  /** Images that are left. */
  readonly images: number;
  readonly bytes: number;
  readonly removedImages: number;
  readonly removedBytes: number;
  readonly expiredClaims: number;
}

const shards = 256;
/** Candidates of one sweep; the oldest go first, the others with the next. */
const maxCandidates = 100_000;

export async function sweepImages(parts: SweepParts): Promise<SweepReport> {
  const { store, claims, policy, now, signal } = parts;
  const expiredClaims = await claims.expire(now(), async (id) => void (await store.touchImage(id)), signal);
  let images = 0;
  let bytes = 0;
  let unclaimed: ListedImage[] = [];
  for (let shard = 0; shard < shards; shard += 1) {
    signal.throwIfAborted();
    // Claims first: one that comes later is on an image that was just stored or touched.
    const marked = await claims.claimed(shard);
    for await (const image of store.listImages(shard)) {
      images += 1;
      bytes += image.sizeBytes;
      if (!marked.has(image.id) && image.usedMs < now() - policy.graceMs) unclaimed.push(image);
    }
    if (unclaimed.length > 2 * maxCandidates) unclaimed = oldest(unclaimed);
  }
  let removedImages = 0;
  let removedBytes = 0;
  if (unclaimed.length > 0) {
    // After the claims: a job that comes later had a claim on its image.
    const needed = await parts.needed();
    const unneeded = needed === undefined ? [] : unclaimed.filter(({ id }) => !needed.has(id));
    for (const { id, sizeBytes, usedMs } of chooseGarbage(unneeded, bytes, policy, now())) {
      signal.throwIfAborted();
      if (!(await store.removeImage(id, usedMs + 1))) continue;
      removedImages += 1;
      removedBytes += sizeBytes;
    }
  }
  return {
    images: images - removedImages,
    bytes: bytes - removedBytes,
    removedImages,
    removedBytes,
    expiredClaims,
  };
}

/** What of the unneeded goes: all whose time is over, and the oldest of the others until the rest fits the budget. Pure. */
export function chooseGarbage(
  unneeded: readonly ListedImage[],
  totalBytes: number,
  { unclaimedTtlMs, maxBytes }: Pick<SweepPolicy, 'unclaimedTtlMs' | 'maxBytes'>,
  nowMs: number,
): readonly ListedImage[] {
  let left = totalBytes;
  return oldest(unneeded).filter(({ sizeBytes, usedMs }) => {
    const goes = usedMs < nowMs - unclaimedTtlMs || left > maxBytes;
    if (goes) left -= sizeBytes;
    return goes;
  });
}

function oldest(images: readonly ListedImage[]): ListedImage[] {
  return images.toSorted((a, b) => a.usedMs - b.usedMs).slice(0, maxCandidates);
}
