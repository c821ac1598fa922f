import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createFileEntries } from './file-entries.ts';
import { createUploads, type Uploads, uploadChunkBytes } from './uploads.ts';

const chunk = (fill: number, length = uploadChunkBytes) => Buffer.alloc(length, fill);
const sizeBytes = 2 * uploadChunkBytes + 10;
let root: string;
let nowMs: number;
let uploads: Uploads;
/** Of another process. */
let others: Uploads;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'imagemesh-uploads-'));
  nowMs = 1_700_000_000_000;
  const limits = { maxOpen: 3, maxBytes: 5 * sizeBytes, ttlMs: 1000 };
  const open = () => createUploads(createFileEntries(root), limits, () => nowMs);
  uploads = open();
  others = open();
});
afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

const filesLeft = async () =>
  (await readdir(root, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).length;

test('what one process begins another goes on with, chunk by chunk', async () => {
  const { id, expireMs } = await uploads.start('a', { sizeBytes, filename: 'ü.png' });
  expect(expireMs).toBe(nowMs + 1000);
  const begun = await others.find('a', id);
  expect(begun).toEqual({ id, sizeBytes, persistedBytes: 0, expireMs, imageId: undefined });
  expect(await others.filename('a', begun)).toBe('ü.png');
  expect(await others.write('a', begun, 0, chunk(1))).toBe(true);
  expect(await uploads.write('a', begun, 0, chunk(1))).toBe(false);
  // A gap ends what counts as held.
  await others.write('a', begun, 2 * uploadChunkBytes, chunk(3, 10));
  expect((await uploads.find('a', id)).persistedBytes).toBe(uploadChunkBytes);
  await uploads.write('a', begun, uploadChunkBytes, chunk(2));
  expect((await others.find('a', id)).persistedBytes).toBe(sizeBytes);
  expect(await uploads.readChunk('a', id, 2 * uploadChunkBytes)).toEqual(chunk(3, 10));
});

test('an upload is its owner’s, and no name from outside is a path', async () => {
  const { id } = await uploads.start('a', { sizeBytes, filename: '' });
  for (const [owner, name] of [
    ['b', id],
    ['a', '../a'],
    ['../uploads/a', id],
    ['a', `${id}/..`],
    ['a', id.slice(0, 26)],
  ] as const) {
    await expect(uploads.find(owner, name)).rejects.toMatchObject({ reason: 'UPLOAD_NOT_FOUND' });
    await uploads.remove(owner, name);
  }
  expect((await uploads.find('a', id)).id).toBe(id);
});

test('an owner has so many uploads at once, of so many bytes', async () => {
  const small = { sizeBytes: 1, filename: '' };
  const started = [await uploads.start('a', small), await uploads.start('a', small)];
  await expect(uploads.start('a', { sizeBytes: 5 * sizeBytes, filename: '' })).rejects.toMatchObject({
    reason: 'UPLOADS_FULL',
  });
  started.push(await others.start('a', small));
  await expect(uploads.start('a', small)).rejects.toMatchObject({ reason: 'UPLOADS_FULL' });
  await uploads.start('b', small);
  await uploads.remove('a', started[0]?.id ?? '');
  await uploads.start('a', small);
});

test('what is removed or too old is gone, and leaves nothing behind', async () => {
  const old = await uploads.start('a', { sizeBytes, filename: '' });
  await uploads.write('a', old, 0, chunk(1));
  nowMs += 600;
  const removed = await uploads.start('a', { sizeBytes, filename: '' });
  const young = await uploads.start('a', { sizeBytes, filename: '' });
  await uploads.remove('a', removed.id);
  // A chunk that arrives behind the removal does not bring it back.
  await expect(others.write('a', removed, 0, chunk(1))).rejects.toMatchObject({ reason: 'UPLOAD_NOT_FOUND' });
  nowMs += 600;
  await expect(others.find('a', old.id)).rejects.toMatchObject({ reason: 'UPLOAD_NOT_FOUND' });
  expect(await others.sweep()).toBe(1);
  expect((await uploads.find('a', young.id)).id).toBe(young.id);
  nowMs += 1000;
  expect(await uploads.sweep()).toBe(1);
  expect(await filesLeft()).toBe(0);
});

test('a finished upload is remembered without its bytes, and no more than so many', async () => {
  const imageId = 'ab'.repeat(32);
  const first = await uploads.start('a', { sizeBytes: 1, filename: '' });
  await uploads.write('a', first, 0, chunk(1, 1));
  await uploads.finish('a', first, imageId);
  expect(await others.find('a', first.id)).toMatchObject({ imageId });
  expect(await filesLeft()).toBe(1);
  for (let at = 0; at < 64; at++) {
    const upload = await uploads.start('a', { sizeBytes: 1, filename: '' });
    await uploads.finish('a', upload, imageId);
  }
  await uploads.start('a', { sizeBytes: 1, filename: '' });
  await expect(uploads.find('a', first.id)).rejects.toMatchObject({ reason: 'UPLOAD_NOT_FOUND' });
});
