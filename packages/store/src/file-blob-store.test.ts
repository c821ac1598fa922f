import { chmod, mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { storeRoot } from './blob-store.ts';
import { openBlobStore } from './open-store.ts';

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'imagemesh-store-'));
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

const maxBytes = 64 * 1024 ** 2;
async function incoming(): Promise<string[]> {
  return readdir(join(root, 'incoming'));
}

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
