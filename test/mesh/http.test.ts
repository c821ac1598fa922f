/** Uploads and the HTTP side, on a mesh of real processes. */
import { createHash } from 'node:crypto';
import { UploadService } from '@imagemesh/api';
import { createGrpcClient } from '@imagemesh/rpc';
import { noisePng, startMesh, type TestMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let mesh: TestMesh;

beforeAll(async () => {
  mesh = await startMesh({ replicas: { resize: 1, filter: 1 } });
});
afterAll(async () => {
  await mesh?.stop();
});

describe('a resumable upload', () => {
  it('goes on where it was after its gateway was killed', async () => {
    const png = await noisePng(2_500_000);
    let client = createGrpcClient(UploadService, mesh.gatewayAddress);
    const { uploadId, chunkSize } = await client.startUpload({ sizeBytes: BigInt(png.length) });
    await client.writeChunk({ uploadId, data: png.subarray(0, chunkSize) });
    const cut = client.writeChunk({
      uploadId,
      writeOffset: BigInt(chunkSize),
      data: png.subarray(chunkSize, 2 * chunkSize),
    });
    cut.catch(() => {});
    await mesh.kill('gateway');
    client.close();
    await mesh.restart('gateway');
    client = createGrpcClient(UploadService, mesh.gatewayAddress);
    const { persistedSize } = await client.queryUpload({ uploadId });
    expect([chunkSize, 2 * chunkSize]).toContain(Number(persistedSize));
    for (let offset = Number(persistedSize); offset < png.length; offset += chunkSize) {
      const data = png.subarray(offset, offset + chunkSize);
      await client.writeChunk({ uploadId, writeOffset: BigInt(offset), data });
    }
    const sha256 = createHash('sha256').update(png).digest('hex');
    expect((await client.finishUpload({ uploadId, sha256 })).image?.id).toBe(sha256);
    client.close();
    await mesh.allJoined();
  });
});
