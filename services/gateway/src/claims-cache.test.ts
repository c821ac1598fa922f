import { create } from '@bufbuild/protobuf';
import { type Image, ImageSchema } from '@imagemesh/api';
import { describe, expect, it } from 'vitest';
import { createClaimsCache } from './claims-cache.ts';

function fakeClaims() {
  const stored = new Map<string, Image>();
  let reads = 0;
  return {
    stored,
    reads: () => reads,
    add: async (owner: string, image: Image) => {
      stored.set(`${owner}/${image.id}`, image);
      return image;
    },
    get: async (owner: string, id: string) => {
      reads++;
      return stored.get(`${owner}/${id}`);
    },
    remove: async (owner: string, id: string) => {
      const image = stored.get(`${owner}/${id}`);
      stored.delete(`${owner}/${id}`);
      return image;
    },
    list: async () => ({ images: [...stored.values()], next: undefined }),
  };
}

describe('createClaimsCache', () => {
  it('reads a claim once, until its time is over', async () => {
    const claims = fakeClaims();
    let nowMs = 0;
    const cache = createClaimsCache(claims, { ttlMs: 100, now: () => nowMs });
    claims.stored.set('o/a', create(ImageSchema, { id: 'a' }));
    expect((await cache.get('o', 'a'))?.id).toBe('a');
    claims.stored.clear();
    nowMs = 99;
    expect((await cache.get('o', 'a'))?.id).toBe('a');
    expect(claims.reads()).toBe(1);
    nowMs = 100;
    expect(await cache.get('o', 'a')).toBeUndefined();
  });

  it('does not remember that there is none, nor mix up owners', async () => {
    const claims = fakeClaims();
    const cache = createClaimsCache(claims);
    expect(await cache.get('o', 'a')).toBeUndefined();
    await cache.add('o', create(ImageSchema, { id: 'a' }));
    expect((await cache.get('o', 'a'))?.id).toBe('a');
    expect(await cache.get('p', 'a')).toBeUndefined();
  });

  it('forgets a claim that is dropped', async () => {
    const cache = createClaimsCache(fakeClaims());
    await cache.add('o', create(ImageSchema, { id: 'a' }));
    expect((await cache.remove('o', 'a'))?.id).toBe('a');
    expect(await cache.get('o', 'a')).toBeUndefined();
    expect(await cache.remove('o', 'a')).toBeUndefined();
  });

  it('forgets the oldest when there are too many', async () => {
    const claims = fakeClaims();
    const cache = createClaimsCache(claims, { maxEntries: 2 });
    for (const id of ['a', 'b', 'c']) await cache.add('o', create(ImageSchema, { id }));
    await cache.get('o', 'b');
    await cache.get('o', 'c');
    expect(claims.reads()).toBe(0);
    await cache.get('o', 'a');
    expect(claims.reads()).toBe(1);
  });
});
