/** Uploads in chunks, over the wire, to two gateways with one store. */
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32c, ImageService, UploadService } from '@imagemesh/api';
import type { RunningService } from '@imagemesh/observe';
import { createGrpcClient, type GrpcClient } from '@imagemesh/rpc';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestGateway } from './testing/test-gateway.ts';

// A whole PNG, 1x1 px, red; what follows its end is no decoder's business, and makes it large.
const png = Buffer.concat([
  Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC',
    'base64',
  ),
  Buffer.alloc(2_500_000, 7),
]);
const sha256 = createHash('sha256').update(png).digest('hex');
const sizeBytes = BigInt(png.length);
let folder: string;
let gateways: RunningService[];
let clients: GrpcClient<typeof UploadService>[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'uploads-test-'));
  const start = () => startTestGateway(folder, { MAX_UPLOADS: '4' });
  gateways = await Promise.all([start(), start()]);
  clients = gateways.map(({ address }) => createGrpcClient(UploadService, address));
});
afterAll(async () => {
  for (const client of clients) client.close();
  await Promise.all(gateways.map((gateway) => gateway.close(1000)));
  await rm(folder, { recursive: true });
});

/** Any gateway will do. */
function client(at: number): GrpcClient<typeof UploadService> {
  const [first, second] = clients;
  if (first === undefined || second === undefined) throw new Error('no gateways');
  return at % 2 === 0 ? first : second;
}

const filesOfUploads = async () =>
  (await readdir(join(folder, 'store/uploads'), { recursive: true, withFileTypes: true })).filter((entry) =>
    entry.isFile(),
  ).length;

async function start() {
  const { uploadId, chunkSize } = await client(0).startUpload({ sizeBytes, filename: 'a.png' });
  const chunkAt = (offset: number) => {
    const data = png.subarray(offset, offset + chunkSize);
    return { uploadId, writeOffset: BigInt(offset), data, crc32c: crc32c(data) };
  };
  return { uploadId, chunkSize, chunkAt };
}

it('takes chunks at either gateway, again where asked, and makes an image of them', async () => {
  const { uploadId, chunkSize, chunkAt } = await start();
  for (let offset = 0, at = 0; offset < png.length; offset += chunkSize, at++) {
    const persistedSize = BigInt(Math.min(png.length, offset + chunkSize));
    expect(await client(at).writeChunk(chunkAt(offset))).toMatchObject({ persistedSize });
    expect(await client(at + 1).writeChunk(chunkAt(offset))).toMatchObject({ persistedSize });
    expect(await client(at + 1).queryUpload({ uploadId })).toMatchObject({ persistedSize, sizeBytes });
  }
  const { image } = await client(1).finishUpload({ uploadId, sha256 });
  expect(image).toMatchObject({ id: sha256, filename: 'a.png', info: { width: 1, height: 1, sizeBytes } });
  // Once more, as after a reply that was lost.
  expect((await client(0).finishUpload({ uploadId })).image).toEqual(image);
  expect(await client(0).queryUpload({ uploadId })).toMatchObject({ persistedSize: sizeBytes, sizeBytes });
  await expect(client(0).writeChunk(chunkAt(0))).rejects.toMatchObject({ reason: 'UPLOAD_OFFSET_INVALID' });
  expect(await filesOfUploads()).toBe(1);
  const images = createGrpcClient(ImageService, gateways[0]?.address ?? '');
  expect((await images.getImage({ imageId: sha256 })).image).toEqual(image);
  images.close();
  await client(0).cancelUpload({ uploadId });
  expect(await filesOfUploads()).toBe(0);
});

it('refuses chunks that are damaged, in the wrong place or of another size, and keeps the rest', async () => {
  const { uploadId, chunkSize, chunkAt } = await start();
  const first = chunkAt(0);
  await client(0).writeChunk(first);
  const damaged = { ...chunkAt(chunkSize), crc32c: 1 };
  await expect(client(0).writeChunk(damaged)).rejects.toMatchObject({
    reason: 'DIGEST_MISMATCH',
    violations: [{ field: 'crc32c' }],
  });
  await expect(client(0).writeChunk(chunkAt(2 * chunkSize))).rejects.toMatchObject({
    reason: 'UPLOAD_OFFSET_INVALID',
    metadata: { persisted_size: String(chunkSize), chunk_size: String(chunkSize) },
  });
  for (const wrong of [
    { ...chunkAt(chunkSize), data: Buffer.alloc(10), crc32c: undefined },
    { ...first, data: Buffer.alloc(chunkSize, 1), crc32c: undefined },
  ]) {
    await expect(client(1).writeChunk(wrong)).rejects.toMatchObject({ violations: [{ field: 'data' }] });
  }
  await expect(client(1).finishUpload({ uploadId })).rejects.toMatchObject({
    reason: 'SIZE_MISMATCH',
    metadata: { persisted_size: String(chunkSize) },
  });
  expect(await client(1).queryUpload({ uploadId })).toMatchObject({ persistedSize: BigInt(chunkSize) });
  await client(1).cancelUpload({ uploadId });
  await expect(client(0).queryUpload({ uploadId })).rejects.toMatchObject({ reason: 'UPLOAD_NOT_FOUND' });
});

it('refuses at the first chunk what is no image, and keeps nothing of it', async () => {
  const { uploadId, chunkSize } = await start();
  const data = Buffer.alloc(chunkSize, 'text');
  await expect(client(0).writeChunk({ uploadId, writeOffset: 0n, data })).rejects.toMatchObject({
    reason: 'NOT_AN_IMAGE',
  });
  await expect(client(1).queryUpload({ uploadId })).rejects.toMatchObject({ reason: 'UPLOAD_NOT_FOUND' });
  expect(await filesOfUploads()).toBe(0);
});

it('keeps nothing of bytes that have another digest than they should', async () => {
  const { uploadId, chunkSize, chunkAt } = await start();
  for (let offset = 0; offset < png.length; offset += chunkSize) await client(0).writeChunk(chunkAt(offset));
  await expect(client(0).finishUpload({ uploadId, sha256: '0'.repeat(64) })).rejects.toMatchObject({
    reason: 'DIGEST_MISMATCH',
  });
  expect(await filesOfUploads()).toBe(0);
});

it('refuses a size over the limit, and more uploads than there may be', async () => {
  await expect(client(0).startUpload({ sizeBytes: 1n << 40n })).rejects.toMatchObject({
    reason: 'BODY_TOO_LARGE',
  });
  for (let at = 0; at < 4; at++) await client(at).startUpload({ sizeBytes });
  await expect(client(0).startUpload({ sizeBytes })).rejects.toMatchObject({ reason: 'UPLOADS_FULL' });
});
