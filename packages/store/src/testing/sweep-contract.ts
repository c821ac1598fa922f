import { createHash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { ImageSchema } from '@imagemesh/api';
import { describe, expect, it } from 'vitest';
import type { Store } from '../open-store.ts';
import { type SweepPolicy, sweepImages } from '../sweep.ts';
import { type Engine, hourMs, imageIds, maxBytes, randomText } from './engine.ts';

const dayMs = 24 * hourMs;
const policy: SweepPolicy = { graceMs: hourMs, unclaimedTtlMs: dayMs, maxBytes: 1e9 };

const claimOf = (id: string, expireMs?: number) =>
  create(ImageSchema, {
    id,
    createTime: timestampFromMs(1000),
    ...(expireMs !== undefined && { expireTime: timestampFromMs(expireMs) }),
  });

const put = async ({ blobs }: Store, text: string) =>
  (await blobs.putImage(Buffer.from(text), { maxBytes })).id;

interface Over {
  readonly policy?: Partial<SweepPolicy>;
  readonly needed?: ReadonlySet<string> | undefined;
}

/** As it will be done in that time. */
function sweepIn(laterMs: number, { blobs, claims }: Store, over: Over = {}) {
  return sweepImages({
    store: blobs,
    claims,
    needed: async () => ('needed' in over ? over.needed : new Set()),
    policy: { ...policy, ...over.policy },
    now: () => Date.now() + laterMs,
    signal: new AbortController().signal,
  });
}

export function describeSweeps({ name, newUrl, open }: Engine): void {
  describe(`sweeps on ${name}`, () => {
    it('take what nobody claims or needs once its time is over, and nothing else', async () => {
      const store = await open(newUrl());
      const [claimed, needed, garbage] = [
        await put(store, 'claimed'),
        await put(store, 'needed'),
        await put(store, 'garbage'),
      ];
      await store.claims.add('a', claimOf(claimed));
      const marks = { needed: new Set([needed]) };
      for (const laterMs of [0, hourMs / 2, dayMs - hourMs])
        expect((await sweepIn(laterMs, store, marks)).removedImages).toBe(0);
      // It is not known what jobs need.
      expect((await sweepIn(2 * dayMs, store, { needed: undefined })).removedImages).toBe(0);
      expect(await sweepIn(2 * dayMs, store, marks)).toEqual({
        images: 2,
        bytes: 'claimedneeded'.length,
        removedImages: 1,
        removedBytes: 'garbage'.length,
        expiredClaims: 0,
      });
      expect(await imageIds(store)).toEqual([claimed, needed].sort());
      await expect(store.blobs.readImage(garbage)).rejects.toMatchObject({ reason: 'BLOB_NOT_FOUND' });
      expect((await sweepIn(2 * dayMs, store)).removedImages).toBe(1);
    });

    it('take an image with its last claim, and not while another owner has one', async () => {
      const store = await open(newUrl());
      const id = await put(store, 'shared');
      for (const owner of ['a', 'b']) await store.claims.add(owner, claimOf(id));
      await store.claims.remove('a', id);
      expect((await sweepIn(2 * dayMs, store)).removedImages).toBe(0);
      await store.claims.remove('b', id);
      expect((await sweepIn(2 * dayMs, store)).removedImages).toBe(1);
    });

    it('take unneeded images before their time where the budget is exceeded, but none within the grace', async () => {
      const store = await open(newUrl());
      const [a, held] = [await put(store, 'aaaaaaaaaa'), await put(store, 'hhhhhhhhhh')];
      await store.claims.add('a', claimOf(held));
      const tight = { policy: { maxBytes: 5 } };
      expect(await sweepIn(hourMs / 2, store, tight)).toMatchObject({ removedImages: 0, bytes: 20 });
      expect((await sweepIn(2 * hourMs, store, { policy: { maxBytes: 20 } })).removedImages).toBe(0);
      expect(await sweepIn(2 * hourMs, store, tight)).toMatchObject({ removedImages: 1, bytes: 10 });
      expect(await store.blobs.statImage(a)).toBeUndefined();
      expect(await imageIds(store)).toEqual([held]);
    });

    it('drop claims that have ended; the bytes have their time of grace from then on', async () => {
      const store = await open(newUrl());
      const { claims } = store;
      const [ended, prolonged, forever] = [
        await put(store, 'ended'),
        await put(store, 'long'),
        await put(store, 'ever'),
      ];
      const past = Date.now() - 1000;
      for (const id of [ended, prolonged, forever]) await claims.add('a', claimOf(id, past));
      await claims.add('b', claimOf(ended, past - hourMs));
      expect((await claims.add('a', claimOf(prolonged, Date.now() + dayMs))).expireTime).toBeDefined();
      expect((await claims.add('a', claimOf(forever))).expireTime).toBeUndefined();
      // An earlier end does not shorten it.
      expect((await claims.add('a', claimOf(forever, past))).expireTime).toBeUndefined();
      expect(await sweepIn(0, store)).toMatchObject({ expiredClaims: 2, removedImages: 0, images: 3 });
      const held = await Promise.all([ended, prolonged, forever].map((id) => claims.get('a', id)));
      expect(held.map((claim) => claim !== undefined)).toEqual([false, true, true]);
      expect((await claims.list('a', { limit: 10, after: undefined })).images).toHaveLength(2);
      expect((await sweepIn(0, store)).expiredClaims).toBe(0);
      const waiting: string[] = [];
      for await (const key of store.entries.list('expiring')) waiting.push(key);
      expect(waiting).toHaveLength(1);
    });

    it('remove nothing that was stored or touched since they looked', async () => {
      const store = await open(newUrl());
      const id = await put(store, 'image');
      expect(await store.blobs.removeImage(id, Date.now() - hourMs)).toBe(false);
      expect(await store.blobs.touchImage(id)).toBe(true);
      expect(await store.blobs.removeImage(id, Date.now() - hourMs)).toBe(false);
      expect(await store.blobs.removeImage(id, Date.now() + hourMs)).toBe(true);
      expect(await store.blobs.removeImage(id, Date.now() + hourMs)).toBe(false);
      expect(await store.blobs.touchImage(id)).toBe(false);
    });

    it('at the same time, all of them, and while the same images are stored, take all and lose none', async () => {
      const url = newUrl();
      const stores = await Promise.all([open(url), open(url), open(url)]);
      const [store] = stores;
      const texts = Array.from({ length: 12 }, randomText);
      const idOf = (text: string) => createHash('sha256').update(text).digest('hex');
      for (const text of texts) await put(store, text);
      const removed = await Promise.all(stores.map((each) => sweepIn(2 * dayMs, each)));
      // Deleting is no question: more than one sweep may have done it.
      const removedImages = removed.reduce((sum, report) => sum + report.removedImages, 0);
      expect(removedImages).toBeGreaterThanOrEqual(texts.length);
      expect(await imageIds(store)).toEqual([]);
      for (const text of texts) await put(store, text);
      // What is not there when it was stored is there in the end: a sweep takes it before, or not at all.
      await Promise.all(
        texts.map(async (text, at) => {
          const [one, other, third] = [stores[at % 3], stores[(at + 1) % 3], stores[(at + 2) % 3]];
          const longAgo = Date.now() - hourMs;
          const sweeping = Promise.all(
            [one, third].map((each) => each?.blobs.removeImage(idOf(text), longAgo)),
          );
          if (other !== undefined) await put(other, text);
          expect((await (await store.blobs.readImage(idOf(text))).bytes()).toString()).toBe(text);
          await sweeping;
        }),
      );
      expect(await imageIds(store)).toEqual(texts.map(idOf).sort());
    });
  });
}
