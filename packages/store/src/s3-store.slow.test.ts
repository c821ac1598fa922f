/** The S3 engine on a real server: what every engine must do, and what a server and a network do to it. */
import { randomBytes } from 'node:crypto';
import { missingS3, startS3, type TestS3 } from '@imagemesh/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStore, type Store } from './open-store.ts';
import { describeStore } from './testing/contract.ts';
import { inChunks, maxBytes } from './testing/engine.ts';

const missing = await missingS3();
let s3: TestS3;

describe.skipIf(missing !== undefined)(`S3${missing === undefined ? '' : ` (${missing})`}`, () => {
  const opened: Store[] = [];
  beforeAll(async () => {
    s3 = await startS3();
    Object.assign(process.env, s3.env);
  });
  afterAll(async () => {
    await Promise.all(opened.map((store) => store.close()));
    await s3?.stop();
  });

  async function open(url: string, now?: () => number): Promise<Store> {
    const store = await openStore(url, now);
    opened.push(store);
    return store;
  }

  describeStore({ name: 'S3', newUrl: () => s3.storeUrl(), open });

  it('bytes that the server gives back otherwise are found, set aside, and mended by storing them again', async () => {
    const url = s3.storeUrl();
    const { blobs } = await open(url);
    const bytes = randomBytes(300_000);
    const { id } = await blobs.putImage(bytes, { maxBytes });
    const flipped = Buffer.from(bytes);
    flipped[299_999] = (flipped[299_999] ?? 0) ^ 1;
    for (const how of ['bytes', 'stream'] as const) {
      await s3.overwrite(url, `images/${id.slice(0, 2)}/${id}`, flipped);
      const blob = await blobs.readImage(id);
      const read = how === 'bytes' ? blob.bytes() : drain(blob.stream());
      const damaged = { reason: 'BLOB_DAMAGED', resource: { type: 'image', name: id } };
      await expect(read).rejects.toMatchObject(damaged);
      await expect(blobs.readImage(id)).rejects.toMatchObject(damaged);
      await blobs.putImage(bytes, { maxBytes });
      expect((await (await blobs.readImage(id)).bytes()).equals(bytes)).toBe(true);
    }
  });

  it('a long stream is stored within bounded memory', async () => {
    const { blobs } = await open(s3.storeUrl());
    const sizeBytes = 200 * 1024 * 1024;
    const block = randomBytes(1024 * 1024);
    async function* long() {
      for (let at = 0; at < sizeBytes; at += block.length) yield block;
    }
    const beforeBytes = process.memoryUsage().arrayBuffers;
    let mostBytes = 0;
    const watch = setInterval(() => {
      mostBytes = Math.max(mostBytes, process.memoryUsage().arrayBuffers - beforeBytes);
    }, 20);
    const { id } = await blobs
      .putTemporary(long(), { maxBytes: 2 * sizeBytes })
      .finally(() => clearInterval(watch));
    expect(mostBytes).toBeLessThan(100 * 1024 * 1024);
    const blob = await blobs.readTemporary(id);
    expect(blob.sizeBytes).toBe(sizeBytes);
    for await (const chunk of blob.stream(sizeBytes - 10))
      expect(chunk.equals(block.subarray(-10))).toBe(true);
  });

  it('wrong credentials and a missing bucket are one clear line without the secret', async () => {
    const url = s3.storeUrl();
    const right = s3.env.AWS_SECRET_ACCESS_KEY;
    try {
      process.env.AWS_SECRET_ACCESS_KEY = 'wrong-and-secret';
      const failing = openStore(url);
      await expect(failing).rejects.toThrow(/^STORE_URL: the bucket imagemesh at http:.* cannot be used/);
      const said = JSON.stringify(
        await failing.catch((error: Error) => [error.message, error.cause, error.stack]),
      );
      expect(said).not.toContain('wrong-and-secret');
    } finally {
      process.env.AWS_SECRET_ACCESS_KEY = right;
    }
    await expect(openStore(url.replace('//imagemesh/', '//no-such-bucket/'))).rejects.toThrow(
      'the bucket no-such-bucket',
    );
  });

  it('a server that hangs ends no call late, one that is gone is STORE_UNAVAILABLE, and both may come back', async () => {
    const { blobs, claims } = await open(s3.storeUrl());
    const { id } = await blobs.putImage(Buffer.from('image'), { maxBytes });
    s3.freeze();
    try {
      const signal = AbortSignal.timeout(300);
      await expect(blobs.putImage(inChunks(randomBytes(1000), 100), { maxBytes, signal })).rejects.toThrow(
        'timeout',
      );
    } finally {
      s3.thaw();
    }
    expect((await (await blobs.readImage(id)).bytes()).toString()).toBe('image');
    await s3.kill();
    const gone = { reason: 'STORE_UNAVAILABLE', code: 'unavailable', retryAfterMs: 1000 };
    await expect(blobs.putImage(Buffer.from('other'), { maxBytes })).rejects.toMatchObject(gone);
    await expect(blobs.readImage(id)).rejects.toMatchObject(gone);
    await expect(claims.get('a', id)).rejects.toMatchObject(gone);
    await expect(claims.list('a', { limit: 1, after: undefined })).rejects.toMatchObject(gone);
  });
});

async function drain(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of chunks);
}
