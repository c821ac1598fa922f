/**
 * Claims remembered for a few seconds: reading a small file costs about a millisecond, a tenth of what the gateway's
 * whole part in a call by reference should. A claim never changes; one that is dropped through another gateway counts for up
 * to the time here.
 */
import type { Image } from '@imagemesh/api';
import type { Claims } from '@imagemesh/store';

export interface ClaimsCacheOptions {
  /** Default 4096; the one remembered longest goes first. */
  readonly maxEntries?: number;
  /** Default 5000. */
  readonly ttlMs?: number;
  /** Default performance.now. */
  readonly now?: () => number;
}

export function createClaimsCache(
  claims: Claims,
  { maxEntries = 4096, ttlMs = 5000, now = () => performance.now() }: ClaimsCacheOptions = {},
): Claims {
  const entries = new Map<string, { readonly image: Image; readonly untilMs: number }>();

  function remember(key: string, image: Image): Image {
    entries.delete(key);
    entries.set(key, { image, untilMs: now() + ttlMs });
    if (entries.size > maxEntries) {
      const [oldest] = entries.keys();
      if (oldest !== undefined) entries.delete(oldest);
    }
    return image;
  }

  return {
    async add(owner, image) {
      return remember(`${owner}/${image.id}`, await claims.add(owner, image));
    },
    async get(owner, imageId) {
      const key = `${owner}/${imageId}`;
      const known = entries.get(key);
      if (known !== undefined && now() < known.untilMs) return known.image;
      entries.delete(key);
      const image = await claims.get(owner, imageId);
      return image === undefined ? undefined : remember(key, image);
    },
    async remove(owner, imageId) {
      const key = `${owner}/${imageId}`;
      try {
        return await claims.remove(owner, imageId);
      } finally {
        entries.delete(key);
      }
    },
    list: (owner, options) => claims.list(owner, options),
  };
}
