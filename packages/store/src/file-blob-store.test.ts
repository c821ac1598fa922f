import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openBlobStore, storeRoot } from './blob-store.ts';

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'imagemesh-store-'));
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

const maxBytes = 64 * 1024 ** 2;
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

async function* inChunks(bytes: Uint8Array, chunkBytes: number) {
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    await sleep(0);
    yield bytes.subarray(at, at + chunkBytes);
  }
}

async function incoming(): Promise<string[]> {
  return readdir(join(root, 'incoming'));
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

test('an image comes back whole, streamed and in part, under the digest of its bytes', async () => {
  const store = await openBlobStore(`file:${root}`);
  const bytes = randomBytes(3_000_001);
  const id = sha256(bytes);
  expect(await store.putImage(inChunks(bytes, 65_536), { maxBytes })).toEqual({
    id,
    sizeBytes: bytes.length,
  });
  expect(await store.statImage(id)).toEqual({ id, sizeBytes: bytes.length });
  const blob = await store.readImage(id);
  expect(blob.sizeBytes).toBe(bytes.length);
  expect((await blob.bytes()).equals(bytes)).toBe(true);
  expect((await collect(blob.stream())).equals(bytes)).toBe(true);
  expect(
    (await collect(blob.stream(1_000_000, 2_000_003))).equals(bytes.subarray(1_000_000, 2_000_003)),
  ).toBe(true);
  expect(await incoming()).toEqual([]);
  expect(await readFile(join(root, 'images', id.slice(0, 2), id))).toHaveLength(bytes.length);
});

test('the same bytes again are the same blob, also from many writers at once', async () => {
  const stores = await Promise.all([openBlobStore(`file:${root}`), openBlobStore(`file:${root}`)]);
  expect(stores[0]?.id).toBe(stores[1]?.id);
  const bytes = randomBytes(200_000);
  const puts = stores.flatMap((store) => [
    store.putImage(bytes, { maxBytes }),
    store.putImage(inChunks(bytes, 10_000), { maxBytes }),
  ]);
  for (const put of await Promise.all(puts)) expect(put.id).toBe(sha256(bytes));
  expect(await incoming()).toEqual([]);
});

test('a wrong digest, too many bytes and an abort store nothing', async () => {
  const store = await openBlobStore(`file:${root}`);
  const bytes = randomBytes(100_000);
  const expectedSha256 = '0'.repeat(64);
  for (const source of [bytes, inChunks(bytes, 5000)]) {
    await expect(store.putImage(source, { maxBytes, expectedSha256 })).rejects.toMatchObject({
      reason: 'DIGEST_MISMATCH',
    });
  }
  for (const source of [bytes, inChunks(bytes, 5000)]) {
    await expect(store.putImage(source, { maxBytes: 99_999 })).rejects.toMatchObject({
      reason: 'BODY_TOO_LARGE',
    });
  }
  const abort = new AbortController();
  async function* endless() {
    yield bytes;
    abort.abort(new Error('enough'));
    // Silent from here on.
    await new Promise(() => {});
  }
  await expect(store.putImage(endless(), { maxBytes, signal: abort.signal })).rejects.toThrow('enough');
  expect(await incoming()).toEqual([]);
  expect(await readdir(join(root, 'images'))).toEqual([]);
});

test('a source that fails leaves nothing behind, and its error passes through', async () => {
  const store = await openBlobStore(`file:${root}`);
  async function* failing() {
    yield randomBytes(10);
    throw new Error('connection reset');
  }
  await expect(store.putTemporary(failing(), { maxBytes })).rejects.toThrow('connection reset');
  expect(await incoming()).toEqual([]);
});

test('a blob that is missing, or an id that is none, is BLOB_NOT_FOUND', async () => {
  const store = await openBlobStore(`file:${root}`);
  await writeFile(join(root, 'secret'), 'secret');
  for (const id of ['0'.repeat(64), '../secret', '', 'A'.repeat(64), `../${'0'.repeat(61)}`]) {
    await expect(store.readImage(id)).rejects.toMatchObject({ reason: 'BLOB_NOT_FOUND' });
  }
  for (const id of ['01ARYZ6S410000000000000000', '../secret', '../store-id']) {
    await expect(store.readTemporary(id)).rejects.toMatchObject({ reason: 'BLOB_NOT_FOUND' });
  }
  await expect(store.deleteTemporary('../secret')).rejects.toMatchObject({ reason: 'BLOB_NOT_FOUND' });
  expect(await readFile(join(root, 'secret'), 'utf8')).toBe('secret');
});

test('a temporary blob lives until it is deleted or swept', async () => {
  const store = await openBlobStore(`file:${root}`);
  const bytes = randomBytes(5000);
  const [kept, deleted, old] = [
    await store.putTemporary(bytes, { maxBytes }),
    await store.putTemporary(bytes, { maxBytes }),
    await store.putTemporary(bytes, { maxBytes }),
  ];
  await store.deleteTemporary(deleted.id);
  await store.deleteTemporary(deleted.id);
  const longAgo = Date.now() / 1000 - 7200;
  await utimes(join(root, 'temporary', old.id), longAgo, longAgo);
  expect(await store.sweepLeftovers(3_600_000)).toBe(1);
  expect(await readdir(join(root, 'temporary'))).toEqual([kept.id]);
  expect((await (await store.readTemporary(kept.id)).bytes()).equals(bytes)).toBe(true);
});

test('opening a store sweeps what a crash left long ago, not what is being written', async () => {
  await openBlobStore(`file:${root}`);
  await writeFile(join(root, 'incoming', 'half'), 'half');
  await writeFile(join(root, 'incoming', 'busy'), 'busy');
  const longAgo = Date.now() / 1000 - 7200;
  await utimes(join(root, 'incoming', 'half'), longAgo, longAgo);
  await openBlobStore(`file:${root}`);
  expect(await incoming()).toEqual(['busy']);
});

test('a folder that cannot be used is one clear line that names it', async () => {
  await writeFile(join(root, 'file'), '');
  await expect(openBlobStore(`file:${root}/file/store`)).rejects.toThrow(`${root}/file/store`);
  expect(() => storeRoot('s3:bucket')).toThrow('file:<folder>');
  expect(() => storeRoot('')).toThrow('file:<folder>');
  expect(storeRoot('file:./data')).toBe('./data');
  expect(storeRoot('file:///var/data')).toBe('/var/data');
  // Root may write anywhere.
  if (process.getuid?.() === 0) return;
  const locked = join(root, 'locked');
  await mkdir(locked);
  await chmod(locked, 0o500);
  await expect(openBlobStore(`file:${locked}`)).rejects.toThrow(locked);
});

test('a store whose folder is removed while it runs still stores', async () => {
  const store = await openBlobStore(`file:${root}`);
  await rm(root, { recursive: true });
  const { id } = await store.putImage(Buffer.from('image'), { maxBytes });
  expect((await (await store.readImage(id)).bytes()).toString()).toBe('image');
});
