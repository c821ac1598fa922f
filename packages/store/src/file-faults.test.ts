/** What disks, crashes and people do to a file store. */
import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { create } from '@bufbuild/protobuf';
import { ImageSchema } from '@imagemesh/api';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openFileBlobStore } from './file-blob-store.ts';
import { imagePath } from './file-layout.ts';
import { openStore } from './open-store.ts';

const maxBytes = 64 * 1024 ** 2;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'imagemesh-faults-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function flipBit(path: string, at: number): Promise<void> {
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, at);
  await file.write(Buffer.of((byte[0] ?? 0) ^ 4), 0, 1, at);
  await file.close();
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let sizeBytes = 0;
  for await (const chunk of chunks) sizeBytes += chunk.byteLength;
  return sizeBytes;
}

test.each([
  ['read whole', 'bytes', 0],
  ['read whole', 'bytes', 999_999],
  ['streamed', 'stream', 500_000],
] as const)(
  'a bit flipped on disk is found when the image is %s, and the file is set aside',
  async (_, how, at) => {
    const { blobs } = await openStore(`file:${root}`);
    const bytes = randomBytes(1_000_000);
    const { id } = await blobs.putImage(bytes, { maxBytes });
    await flipBit(imagePath(root, id), at);
    const blob = await blobs.readImage(id);
    const damaged = { reason: 'BLOB_DAMAGED', code: 'data_loss', resource: { type: 'image', name: id } };
    const read = how === 'bytes' ? blob.bytes() : collect(blob.stream());
    await expect(read).rejects.toMatchObject(damaged);
    // Said again to whoever asks later, until it is stored again.
    await expect(blobs.readImage(id)).rejects.toMatchObject(damaged);
    expect(await blobs.statImage(id)).toBeUndefined();
    expect(await readdir(join(root, 'damaged'))).toEqual([id]);
    await blobs.putImage(bytes, { maxBytes });
    expect((await (await blobs.readImage(id)).bytes()).equals(bytes)).toBe(true);
  },
);

test('a file that was cut short is damaged too; a part that is read is not verified', async () => {
  const { blobs } = await openStore(`file:${root}`);
  const { id } = await blobs.putImage(randomBytes(100_000), { maxBytes });
  await truncate(imagePath(root, id), 50_000);
  const blob = await blobs.readImage(id);
  expect(await collect(blob.stream(0, 1000))).toBe(1000);
  await expect(blob.bytes()).rejects.toMatchObject({ reason: 'BLOB_DAMAGED' });
});

test('a damaged image is set aside once, not the good one that was stored meanwhile', async () => {
  const { blobs } = await openStore(`file:${root}`);
  const bytes = randomBytes(2_000_000);
  const { id } = await blobs.putImage(bytes, { maxBytes });
  await flipBit(imagePath(root, id), 1_999_999);
  const chunks = (await blobs.readImage(id)).stream()[Symbol.asyncIterator]();
  await chunks.next();
  await rm(imagePath(root, id));
  await blobs.putImage(bytes, { maxBytes });
  await expect(
    (async () => {
      while (!(await chunks.next()).done);
    })(),
  ).rejects.toMatchObject({ reason: 'BLOB_DAMAGED' });
  expect((await (await blobs.readImage(id)).bytes()).equals(bytes)).toBe(true);
});

test('what was set aside is kept for a week', async () => {
  let nowMs = Date.now();
  const store = await openFileBlobStore(root, () => nowMs);
  const { id } = await store.putImage(Buffer.from('image'), { maxBytes });
  await flipBit(imagePath(root, id), 0);
  await expect((await store.readImage(id)).bytes()).rejects.toMatchObject({ reason: 'BLOB_DAMAGED' });
  nowMs += 6 * dayMs;
  await store.sweepLeftovers(hourMs);
  expect(await readdir(join(root, 'damaged'))).toEqual([id]);
  nowMs += 2 * dayMs;
  await store.sweepLeftovers(hourMs);
  expect(await readdir(join(root, 'damaged'))).toEqual([]);
  await expect(store.readImage(id)).rejects.toMatchObject({ reason: 'BLOB_NOT_FOUND' });
});

test('an image that a sweep had moved when it was killed comes back', async () => {
  let nowMs = Date.now();
  const store = await openFileBlobStore(root, () => nowMs);
  const { id } = await store.putImage(Buffer.from('image'), { maxBytes });
  const condemned = join(root, 'condemned');
  await mkdir(condemned);
  await rename(imagePath(root, id), join(condemned, `${id}-0123456789abcdef`));
  // It may still be at it.
  await store.sweepLeftovers(hourMs);
  expect(await store.statImage(id)).toBeUndefined();
  nowMs += 120_000;
  await store.sweepLeftovers(hourMs);
  expect((await (await store.readImage(id)).bytes()).toString()).toBe('image');
  expect(await readdir(condemned)).toEqual([]);
});

test('a process that is killed while it writes leaves no image, and what it leaves is swept', async () => {
  const url = `file:${root}`;
  const script = `
    import { openStore } from ${JSON.stringify(fileURLToPath(new URL('./open-store.ts', import.meta.url)))};
    const { blobs } = await openStore(${JSON.stringify(url)});
    async function* slowly() {
      yield Buffer.alloc(100_000, 1);
      process.send('writing');
      await new Promise(() => setInterval(() => {}, 1000));
    }
    await blobs.putImage(slowly(), { maxBytes: 1e9 });`;
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--conditions=source', '--input-type=module', '-e', script],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], cwd: fileURLToPath(new URL('..', import.meta.url)) },
  );
  expect((await once(child, 'message'))[0]).toBe('writing');
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(await readdir(join(root, 'incoming'))).toHaveLength(1);
  expect(await readdir(join(root, 'images'))).toEqual([]);
  const later = await openFileBlobStore(root, () => Date.now() + 2 * hourMs);
  await later.sweepLeftovers(hourMs);
  expect(await readdir(join(root, 'incoming'))).toEqual([]);
});

test('a folder that is removed: images are not found, new ones are stored, and the id is the same for who comes later', async () => {
  const store = await openStore(`file:${root}`);
  const { blobs, claims } = store;
  const { id } = await blobs.putImage(Buffer.from('image'), { maxBytes });
  await claims.add('a', create(ImageSchema, { id }));
  await rm(root, { recursive: true });
  await expect(blobs.readImage(id)).rejects.toMatchObject({ reason: 'BLOB_NOT_FOUND' });
  expect(await blobs.statImage(id)).toBeUndefined();
  expect(await blobs.touchImage(id)).toBe(false);
  expect(await claims.get('a', id)).toBeUndefined();
  expect((await claims.list('a', { limit: 10, after: undefined })).images).toEqual([]);
  expect(await blobs.sweepLeftovers(hourMs)).toBe(0);
  expect((await openStore(`file:${root}`)).blobs.id).toBe(blobs.id);
  await blobs.putImage(Buffer.from('image'), { maxBytes });
  await claims.add('a', create(ImageSchema, { id }));
  expect(await claims.get('a', id)).toBeDefined();
});

test('sweeps that run while images are stored anew lose none of them', async () => {
  const stores = await Promise.all([1, 2, 3].map(() => openStore(`file:${root}`)));
  const texts = Array.from({ length: 20 }, () => randomBytes(16).toString('hex'));
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
        const blobs = stores[round % stores.length]?.blobs;
        await blobs?.putImage(Buffer.from(text), { maxBytes });
        expect((await blobs?.readImage(id).then((blob) => blob.bytes()))?.toString()).toBe(text);
      }),
    );
  }
  ending.abort();
  await Promise.all(sweeping);
  for (const text of texts)
    expect(await stores[0]?.blobs.statImage(createHash('sha256').update(text).digest('hex'))).toBeDefined();
  expect(await readdir(join(root, 'condemned')).catch(() => [])).toEqual([]);
}, 60_000);

/** Root may mount a file system of one mebibyte; for others there is no way to fill a disk. */
function mountSmall(folder: string): boolean {
  try {
    execFileSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

test('a full disk is STORE_FULL, leaves nothing behind, and what is there stays readable', async (context) => {
  const disk = join(root, 'disk');
  await mkdir(disk);
  if (!mountSmall(disk)) return context.skip('mounting a small file system needs root');
  try {
    const { blobs, claims } = await openStore(`file:${disk}`);
    const kept = randomBytes(300_000);
    const { id } = await blobs.putImage(kept, { maxBytes });
    const full = { reason: 'STORE_FULL', code: 'resource_exhausted', retryAfterMs: 10_000 };
    async function* chunks() {
      for (let at = 0; at < 100; at += 1) yield randomBytes(65_536);
    }
    await expect(blobs.putImage(randomBytes(2_000_000), { maxBytes })).rejects.toMatchObject(full);
    await expect(blobs.putImage(chunks(), { maxBytes })).rejects.toMatchObject(full);
    await expect(blobs.putTemporary(randomBytes(2_000_000), { maxBytes })).rejects.toMatchObject(full);
    expect(await readdir(join(disk, 'incoming'))).toEqual([]);
    expect(await readdir(join(disk, 'temporary'))).toEqual([]);
    // To the last byte: claims find no room either.
    const { bavail, bsize } = await import('node:fs/promises').then(({ statfs }) => statfs(disk));
    await writeFile(join(disk, 'filler'), Buffer.alloc(Number(bavail) * Number(bsize)));
    await expect(claims.add('a', create(ImageSchema, { id }))).rejects.toMatchObject({
      reason: 'STORE_FULL',
    });
    expect((await (await blobs.readImage(id)).bytes()).equals(kept)).toBe(true);
    await rm(join(disk, 'filler'));
    await claims.add('a', create(ImageSchema, { id }));
    expect((await claims.list('a', { limit: 10, after: undefined })).images).toHaveLength(1);
  } finally {
    execFileSync('/bin/umount', [disk]);
  }
});

test('a folder where a file should be is STORE_FAILED, and says no path', async () => {
  const { blobs } = await openStore(`file:${root}`);
  const id = createHash('sha256').update('image').digest('hex');
  await rm(join(root, 'images'), { recursive: true });
  await writeFile(join(root, 'images'), '');
  const failing = blobs.putImage(Buffer.from('image'), { maxBytes });
  await expect(failing).rejects.toMatchObject({ reason: 'STORE_FAILED' });
  await expect(failing).rejects.not.toThrow(root);
  await expect(blobs.readImage(id)).rejects.toMatchObject({ reason: 'STORE_FAILED' });
  expect((await stat(root)).isDirectory()).toBe(true);
  expect(await readFile(join(root, 'store-id'), 'utf8')).toBe(blobs.id);
});
