import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { collect, type Engine, hourMs, imageIds, inChunks, maxBytes } from './engine.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

export function describeBlobs({ name, newUrl, open }: Engine): void {
  describe(`blobs on ${name}`, () => {
    it('an image comes back whole, streamed and in part, under the digest of its bytes', async () => {
      const { blobs } = await open(newUrl());
      const bytes = randomBytes(3_000_001);
      const id = sha256(bytes);
      expect(await blobs.putImage(inChunks(bytes, 65_536), { maxBytes })).toEqual({
        id,
        sizeBytes: bytes.length,
      });
      expect(await blobs.statImage(id)).toEqual({ id, sizeBytes: bytes.length });
      const blob = await blobs.readImage(id);
      expect(blob.sizeBytes).toBe(bytes.length);
      expect((await blob.bytes()).equals(bytes)).toBe(true);
      expect((await collect(blob.stream())).equals(bytes)).toBe(true);
      expect(
        (await collect(blob.stream(1_000_000, 2_000_003))).equals(bytes.subarray(1_000_000, 2_000_003)),
      ).toBe(true);
      for await (const first of blob.stream()) {
        expect(first.equals(bytes.subarray(0, first.length))).toBe(true);
        // Who stops reads no more.
        break;
      }
    });

    it('large ones come back too, from memory and from a stream, as images and as temporary blobs', async () => {
      const { blobs } = await open(newUrl());
      const bytes = randomBytes(21_000_000);
      const id = sha256(bytes);
      for (const source of [inChunks(bytes, 1_000_000), bytes, inChunks(bytes, 3_000_000)])
        expect((await blobs.putImage(source, { maxBytes, expectedSha256: id })).id).toBe(id);
      expect((await (await blobs.readImage(id)).bytes()).equals(bytes)).toBe(true);
      for (const source of [bytes, inChunks(bytes, 1_000_000)]) {
        const temporary = await blobs.putTemporary(source, { maxBytes });
        expect(temporary.sizeBytes).toBe(bytes.length);
        expect((await (await blobs.readTemporary(temporary.id)).bytes()).equals(bytes)).toBe(true);
      }
    });

    it('the same bytes again are the same blob, also from many writers at once', async () => {
      const url = newUrl();
      const stores = await Promise.all([open(url), open(url)]);
      expect(stores[0]?.blobs.id).toBe(stores[1]?.blobs.id);
      expect((await open(newUrl())).blobs.id).not.toBe(stores[0]?.blobs.id);
      const bytes = randomBytes(200_000);
      const puts = stores.flatMap(({ blobs }) => [
        blobs.putImage(bytes, { maxBytes }),
        blobs.putImage(inChunks(bytes, 10_000), { maxBytes }),
      ]);
      for (const put of await Promise.all(puts)) expect(put.id).toBe(sha256(bytes));
      expect(await imageIds(stores[0])).toEqual([sha256(bytes)]);
    });

    it('a wrong digest, too many bytes, a source that fails and an abort store nothing', async () => {
      const store = await open(newUrl(), () => Date.now() + hourMs);
      const { blobs } = store;
      for (const bytes of [randomBytes(100_000), randomBytes(10_000_000)]) {
        for (const source of [bytes, inChunks(bytes, 500_000)]) {
          await expect(
            blobs.putImage(source, { maxBytes, expectedSha256: '0'.repeat(64) }),
          ).rejects.toMatchObject({ reason: 'DIGEST_MISMATCH' });
        }
        for (const source of [bytes, inChunks(bytes, 500_000)]) {
          await expect(blobs.putImage(source, { maxBytes: bytes.length - 1 })).rejects.toMatchObject({
            reason: 'BODY_TOO_LARGE',
          });
        }
        async function* failing() {
          yield* inChunks(bytes, 500_000);
          throw new Error('connection reset');
        }
        await expect(blobs.putTemporary(failing(), { maxBytes })).rejects.toThrow('connection reset');
        const abort = new AbortController();
        async function* endless() {
          yield* inChunks(bytes, 500_000);
          abort.abort(new Error('enough'));
          // Silent from here on.
          await new Promise(() => {});
        }
        await expect(blobs.putImage(endless(), { maxBytes, signal: abort.signal })).rejects.toThrow('enough');
      }
      expect(await imageIds(store)).toEqual([]);
      expect(await blobs.sweepLeftovers(0)).toBe(0);
    });

    it('a blob that is missing, or an id that is none, is BLOB_NOT_FOUND', async () => {
      const { blobs } = await open(newUrl());
      for (const id of ['0'.repeat(64), '../secret', '', 'A'.repeat(64), `../${'0'.repeat(61)}`]) {
        await expect(blobs.readImage(id)).rejects.toMatchObject({ reason: 'BLOB_NOT_FOUND' });
      }
      for (const id of ['01ARYZ6S410000000000000000', '../secret', '../store-id']) {
        await expect(blobs.readTemporary(id)).rejects.toMatchObject({ reason: 'BLOB_NOT_FOUND' });
      }
      await expect(blobs.deleteTemporary('../secret')).rejects.toMatchObject({ reason: 'BLOB_NOT_FOUND' });
      expect(await blobs.statImage('0'.repeat(64))).toBeUndefined();
      expect(await blobs.touchImage('0'.repeat(64))).toBe(false);
      expect(await blobs.removeImage('0'.repeat(64), Date.now())).toBe(false);
    });

    it('a read can be aborted', async () => {
      const { blobs } = await open(newUrl());
      const { id } = await blobs.putImage(randomBytes(100_000), { maxBytes });
      const blob = await blobs.readImage(id);
      await expect(blob.bytes(AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
    });

    it('a temporary blob lives until it is deleted or swept', async () => {
      let nowMs = Date.now();
      const { blobs } = await open(newUrl(), () => nowMs);
      const bytes = randomBytes(5000);
      const kept = await blobs.putTemporary(bytes, { maxBytes });
      const deleted = await blobs.putTemporary(inChunks(bytes, 1000), { maxBytes });
      await blobs.deleteTemporary(deleted.id);
      await blobs.deleteTemporary(deleted.id);
      await expect(blobs.readTemporary(deleted.id)).rejects.toMatchObject({ reason: 'BLOB_NOT_FOUND' });
      expect(await blobs.sweepLeftovers(hourMs)).toBe(0);
      expect((await (await blobs.readTemporary(kept.id)).bytes()).equals(bytes)).toBe(true);
      nowMs += 2 * hourMs;
      expect(await blobs.sweepLeftovers(hourMs)).toBe(1);
      await expect(blobs.readTemporary(kept.id)).rejects.toMatchObject({ reason: 'BLOB_NOT_FOUND' });
    });
  });
}
