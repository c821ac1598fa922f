/** Uploads that are under way when their gateway is killed. */
import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { UploadService } from '@imagemesh/api';
import type { GrpcClient, SessionPool } from '@imagemesh/rpc';
import { noisePng } from '@imagemesh/testkit';
import { expect } from 'vitest';
import { uploadImage } from '../mesh/calls.ts';

/** Sends half an image and no more; the file that it is in by then. */
export async function beginUpload(pool: SessionPool, storeRoot: string, image: Buffer): Promise<string> {
  const incoming = join(storeRoot, 'incoming');
  const halfBytes = Math.floor(image.length / 2);
  async function* half() {
    yield image.subarray(0, halfBytes);
    await new Promise(() => {});
  }
  uploadImage(pool, {}, half()).catch(() => {});
  let path: string | undefined;
  await expect
    .poll(
      async () => {
        const paths = (await readdir(incoming)).map((name) => join(incoming, name));
        const sizes = await Promise.all(paths.map((each) => stat(each).catch(() => undefined)));
        path = paths[sizes.findIndex((found) => found?.size === halfBytes)];
        return path;
      },
      { timeout: 30_000, interval: 20 },
    )
    .toBeDefined();
  return path ?? '';
}

export interface HalfUpload {
  readonly uploadId: string;
  readonly bytes: Buffer;
}

/** Begins an upload in chunks; the second is on its way. */
export async function beginChunks(client: GrpcClient<typeof UploadService>): Promise<HalfUpload> {
  const bytes = await noisePng(3_300_000);
  const { uploadId, chunkSize } = await client.startUpload({ sizeBytes: BigInt(bytes.length) });
  await client.writeChunk({ uploadId, data: bytes.subarray(0, chunkSize) });
  const data = bytes.subarray(chunkSize, 2 * chunkSize);
  client.writeChunk({ uploadId, writeOffset: BigInt(chunkSize), data }).catch(() => {});
  return { uploadId, bytes };
}

/** Goes on from what is there through another gateway, to the image with the right digest. */
export async function finishChunks(
  client: GrpcClient<typeof UploadService>,
  { uploadId, bytes }: HalfUpload,
): Promise<void> {
  const chunkBytes = 1024 * 1024;
  const { persistedSize } = await client.queryUpload({ uploadId });
  // The chunk under way is there in full or not at all.
  expect([chunkBytes, 2 * chunkBytes]).toContain(Number(persistedSize));
  for (let at = Number(persistedSize); at < bytes.length; at += chunkBytes) {
    await client.writeChunk({ uploadId, writeOffset: BigInt(at), data: bytes.subarray(at, at + chunkBytes) });
  }
  const { image } = await client.finishUpload({ uploadId });
  expect(image?.id).toBe(createHash('sha256').update(bytes).digest('hex'));
}
