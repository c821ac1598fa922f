import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { ImageSchema } from '@imagemesh/api';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { BlobStore, ListedImage } from './blob-store.ts';
import { imagePath } from './file-layout.ts';
import { openStore, type Store } from './open-store.ts';
import { chooseGarbage, type SweepPolicy, sweepImages } from './sweep.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const policy: SweepPolicy = { graceMs: hourMs, unclaimedTtlMs: dayMs, maxBytes: 1e9 };

let root: string;
let store: Store;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'imagemesh-sweep-'));
  store = await openStore(`file:${root}`);
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function put(text: string, ageMs = 0, blobs: BlobStore = store.blobs): Promise<string> {
  const { id } = await blobs.putImage(Buffer.from(text), { maxBytes: 1000 });
  const seconds = (Date.now() - ageMs) / 1000;
  await utimes(imagePath(root, id), seconds, seconds);
  return id;
}

const claimOf = (id: string, expireMs?: number) =>
  create(ImageSchema, {
    id,
    createTime: timestampFromMs(1000),
    ...(expireMs !== undefined && { expireTime: timestampFromMs(expireMs) }),
  });

interface Over {
  readonly policy?: Partial<SweepPolicy>;
  readonly needed?: () => Promise<ReadonlySet<string> | undefined>;
}

function sweep(over: Over = {}) {
  return sweepImages({
    store: store.blobs,
    claims: store.claims,
    needed: over.needed ?? (async () => new Set()),
    policy: { ...policy, ...over.policy },
    now: Date.now,
    signal: new AbortController().signal,
  });
}

async function left(ids: readonly string[]): Promise<boolean[]> {
  const found = await Promise.all(ids.map((id) => store.blobs.statImage(id)));
  return found.map((blob) => blob !== undefined);
}

test('takes what nobody claims or needs once its time is over, and nothing else', async () => {
  const [claimed, needed, old, young, fresh] = [
    await put('claimed', 10 * dayMs),
    await put('needed', 10 * dayMs),
    await put('old', 2 * dayMs),
    await put('young', 2 * hourMs),
    await put('fresh'),
  ];
  await store.claims.add('a', claimOf(claimed));
  const report = await sweep({ needed: async () => new Set([needed]) });
  expect(await left([claimed, needed, old, young, fresh])).toEqual([true, true, false, true, true]);
  expect(report).toEqual({
    images: 4,
    bytes: 'claimedneededyoungfresh'.length,
    removedImages: 1,
    removedBytes: 'old'.length,
    expiredClaims: 0,
  });
  await expect(store.blobs.readImage(old)).rejects.toMatchObject({ reason: 'BLOB_NOT_FOUND' });
});

test('takes nothing while it is not known what jobs need', async () => {
  const old = await put('old', 2 * dayMs);
  expect(await sweep({ needed: async () => undefined })).toMatchObject({ images: 1, removedImages: 0 });
  expect(await left([old])).toEqual([true]);
});

test('an image goes with its last claim, and not while another owner has one', async () => {
  const id = await put('shared', 2 * dayMs);
  await store.claims.add('a', claimOf(id));
  await store.claims.add('b', claimOf(id));
  await store.claims.remove('a', id);
  expect((await sweep()).removedImages).toBe(0);
  await store.claims.remove('b', id);
  expect((await sweep()).removedImages).toBe(1);
});

test('over the budget the oldest unneeded go before their time, but none within the grace', async () => {
  const ids = [
    await put('aaaaaaaaaa', 3 * hourMs),
    await put('bbbbbbbbbb', 2 * hourMs),
    await put('cccccccccc', 1000),
    await put('dddddddddd', 10 * dayMs),
  ];
  await store.claims.add('a', claimOf(ids[3] ?? ''));
  expect((await sweep({ policy: { maxBytes: 30 } })).removedBytes).toBe(10);
  expect(await left(ids)).toEqual([false, true, true, true]);
  expect((await sweep({ policy: { maxBytes: 1 } })).bytes).toBe(20);
  expect(await left(ids)).toEqual([false, false, true, true]);
});

test('chooses the oldest first, and no more than the budget asks for', () => {
  const image = (id: string, sizeBytes: number, usedMs: number): ListedImage => ({ id, sizeBytes, usedMs });
  const unneeded = [image('c', 5, 300), image('a', 5, 100), image('b', 5, 200)];
  const chosen = (maxBytes: number, unclaimedTtlMs: number) =>
    chooseGarbage(unneeded, 100, { maxBytes, unclaimedTtlMs }, 1000).map(({ id }) => id);
  expect(chosen(100, 2000)).toEqual([]);
  expect(chosen(99, 2000)).toEqual(['a']);
  expect(chosen(95, 2000)).toEqual(['a']);
  expect(chosen(94, 2000)).toEqual(['a', 'b']);
  expect(chosen(0, 2000)).toEqual(['a', 'b', 'c']);
  expect(chosen(100, 750)).toEqual(['a', 'b']);
});

test('a claim that has ended is dropped; the bytes have their time of grace from then on', async () => {
  const [ended, prolonged, forever] = [await put('ended', 10 * dayMs), await put('long'), await put('ever')];
  const past = Date.now() - 1000;
  for (const id of [ended, prolonged, forever]) await store.claims.add('a', claimOf(id, past));
  await store.claims.add('b', claimOf(ended, past - hourMs));
  expect((await store.claims.add('a', claimOf(prolonged, Date.now() + dayMs))).expireTime).toBeDefined();
  expect((await store.claims.add('a', claimOf(forever))).expireTime).toBeUndefined();
  // An earlier end does not shorten it.
  expect((await store.claims.add('a', claimOf(forever, past))).expireTime).toBeUndefined();
  expect(await sweep()).toMatchObject({ expiredClaims: 2, removedImages: 0, images: 3 });
  const held = await Promise.all([ended, prolonged, forever].map((id) => store.claims.get('a', id)));
  expect(held.map((claim) => claim !== undefined)).toEqual([false, true, true]);
  expect((await store.claims.list('a', { limit: 10, after: undefined })).images).toHaveLength(2);
  expect((await sweep()).expiredClaims).toBe(0);
  const waiting: string[] = [];
  for await (const key of store.entries.list('expiring')) waiting.push(key);
  expect(waiting).toHaveLength(1);
});

test('sweeps that run while images are stored anew lose none of them', async () => {
  const stores = await Promise.all([store, openStore(`file:${root}`), openStore(`file:${root}`)]);
  const texts = Array.from({ length: 20 }, () => randomBytes(16).toString('hex'));
  for (const text of texts) await put(text, 2 * dayMs);
  const ending = new AbortController();
  // What is stored below counts as used since then.
  const unusedSinceMs = Date.now() - hourMs;
  const sweeping = stores.map(async ({ blobs }) => {
    while (!ending.signal.aborted) {
      for (let shard = 0; shard < 256; shard += 1)
        for await (const { id } of blobs.listImages(shard)) await blobs.removeImage(id, unusedSinceMs);
    }
  });
  for (let round = 0; round < 10; round += 1) {
    await Promise.all(
      texts.map(async (text) => {
        const id = createHash('sha256').update(text).digest('hex');
        const seconds = Date.now() / 1000 - 7200;
        // Old again, if it is there at all.
        await utimes(imagePath(root, id), seconds, seconds).catch(() => {});
        const { blobs } = stores[round % stores.length] ?? store;
        await blobs.putImage(Buffer.from(text), { maxBytes: 1000 });
        expect((await (await blobs.readImage(id)).bytes()).toString()).toBe(text);
      }),
    );
  }
  ending.abort();
  await Promise.all(sweeping);
  expect(await left(texts.map((text) => createHash('sha256').update(text).digest('hex')))).not.toContain(
    false,
  );
  expect(await readdir(join(root, 'condemned')).catch(() => [])).toEqual([]);
}, 60_000);
