import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defaultLimits } from '@imagemesh/image';
import { type BlobStore, openBlobStore } from '@imagemesh/store';
import { plain } from '@imagemesh/testkit';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createImageLoader } from './load.ts';

let folder: string;
let store: BlobStore;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'load-test-'));
  store = await openBlobStore(`file:${folder}/store`);
});
afterAll(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

const { signal } = new AbortController();

async function put(bytes: Uint8Array): Promise<string> {
  return (await store.putImage(bytes, { maxBytes: 1e6 })).id;
}

describe('an image beside the source', () => {
  it('is read once in a call', async () => {
    const id = await put(await plain([1, 2, 3], { width: 5, height: 4 }));
    const load = createImageLoader(store, defaultLimits, signal);
    const image = await load(id);
    expect(image.header).toMatchObject({ width: 5, height: 4 });
    expect(await load(id)).toBe(image);
  });

  it('is read again where all that are kept would be more than a source may be', async () => {
    const bytes = await plain([1, 2, 3], { width: 6, height: 4 });
    const id = await put(bytes);
    const load = createImageLoader(store, { ...defaultLimits, maxInputBytes: bytes.length - 1 }, signal);
    expect(await load(id)).not.toBe(await load(id));
  });

  it('is still, within the limits, and in the store', async () => {
    const frames = await Promise.all([plain([1, 2, 3]), plain([250, 2, 3])]);
    const moving = await sharp(frames, { join: { animated: true } })
      .gif()
      .toBuffer();
    const load = createImageLoader(store, { ...defaultLimits, maxInputPixels: 64 * 48 }, signal);
    await expect(load(await put(moving))).rejects.toMatchObject({ reason: 'ANIMATION_REFUSED' });
    const large = await put(await plain([1, 2, 3], { width: 65, height: 48 }));
    await expect(load(large)).rejects.toMatchObject({ reason: 'TOO_MANY_PIXELS' });
    await expect(load('0'.repeat(64))).rejects.toMatchObject({ reason: 'BLOB_NOT_FOUND' });
    const nowhere = createImageLoader(undefined, defaultLimits, signal);
    await expect(nowhere(large)).rejects.toMatchObject({ reason: 'BLOB_NOT_FOUND' });
  });
});
