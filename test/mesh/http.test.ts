/** Uploads and the HTTP side, on a mesh of real processes. */
import { createHash, createHmac } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UploadService } from '@imagemesh/api';
import { createGrpcClient } from '@imagemesh/rpc';
import { decode, noisePng, quadrants, startMesh, type TestMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { pixelsOf } from './calls.ts';

const secret = '5a'.repeat(32);
let settings: string;
let mesh: TestMesh;
let image: Buffer;

beforeAll(async () => {
  settings = await mkdtemp(join(tmpdir(), 'imagemesh-http-'));
  const [keys, presets] = [join(settings, 'signing-keys'), join(settings, 'presets')];
  await writeFile(keys, `k1 ${secret}\n`);
  await writeFile(presets, 'thumb resize:16x16,cover/output:quality=70\n');
  mesh = await startMesh({
    replicas: { resize: 1, filter: 1 },
    env: { SIGNING_KEYS_FILE: keys, PRESETS_FILE: presets },
  });
  image = await quadrants({ width: 64, height: 32 });
});
afterAll(async () => {
  await mesh?.stop();
  await rm(settings, { recursive: true, force: true });
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

/** POST /transform with a body as `curl --data-binary` sends it. */
async function transform(query: string, body: Uint8Array | FormData, headers: Record<string, string> = {}) {
  const type = body instanceof FormData ? {} : { 'content-type': 'application/x-www-form-urlencoded' };
  return fetch(`${mesh.gatewayUrl}/transform?${query}`, {
    method: 'POST',
    body,
    headers: { ...type, ...headers },
  });
}

const errorOf = async (reply: Response) => ({
  status: reply.status,
  ...(JSON.parse(await reply.text()).error as object),
});

describe('POST /transform', () => {
  it('answers the image, from a raw body or a form', async () => {
    const raw = await transform('ops=resize:32x16/grayscale&format=png', image);
    expect(raw.headers.get('content-type')).toBe('image/png');
    expect(raw.headers.get('x-content-type-options')).toBe('nosniff');
    const { width, height, at } = await pixelsOf(Buffer.from(await raw.arrayBuffer()));
    // Rec. 601: red is 76.
    expect([width, height, at(2, 2)[0]]).toEqual([32, 16, 76]);
    const form = new FormData();
    form.set('ops', 'resize:20');
    form.set('image', new Blob([image]), 'a.png');
    const fromForm = await transform('format=webp&quality=50', form);
    expect(fromForm.headers.get('content-type')).toBe('image/webp');
    expect(await decode(Buffer.from(await fromForm.arrayBuffer()))).toMatchObject({ width: 20, height: 10 });
  });

  it('takes presets, and what a client accepts', async () => {
    const reply = await transform('ops=preset:thumb&format=auto', image, { accept: 'image/webp,*/*' });
    expect([reply.headers.get('content-type'), reply.headers.get('vary')]).toEqual(['image/webp', 'Accept']);
    expect(await decode(Buffer.from(await reply.arrayBuffer()))).toMatchObject({ width: 16, height: 16 });
  });

  it('holds large images and results in the store, and leaves nothing there', async () => {
    const large = await noisePng(12_000_000);
    const reply = await transform('ops=rotate:90&effort=0', large);
    expect(reply.status).toBe(200);
    expect((await reply.arrayBuffer()).byteLength).toBeGreaterThan(8_000_000);
    await vi.waitFor(
      async () => expect(await readdir(join(mesh.dataDir, 'store/temporary'))).toEqual([]),
      20_000,
    );
  });

  it.each([
    ['ops=resize:0x10', 'INVALID_REQUEST', 400, 'at character 8'],
    ['ops=blur:5/nonsense', 'INVALID_REQUEST', 400, 'is no operation'],
    ['ops=blur:5&colour=red', 'INVALID_REQUEST', 400, 'colour: is not known'],
    ['ops=crop:60,0,10x10', 'OPERATION_OUT_OF_BOUNDS', 400, 'crop'],
    ['ops=preset:none', 'INVALID_REQUEST', 400, 'there is no preset'],
  ])('refuses %s', async (query, reason, status, message) => {
    const error = await errorOf(await transform(query, image));
    expect(error).toMatchObject({ reason, status });
    expect(JSON.stringify(error)).toContain(message);
  });

  it('refuses a body that is no image', async () => {
    expect(await errorOf(await transform('ops=blur:5', Buffer.from('text')))).toMatchObject({
      reason: 'NOT_AN_IMAGE',
      status: 415,
    });
  });
});

describe('GET /i/…', () => {
  let id: string;
  beforeAll(async () => {
    const reply = await fetch(`${mesh.gatewayUrl}/upload`, { method: 'POST', body: image });
    id = JSON.parse(await reply.text()).image_id;
  });
  const sign = (rest: string, expirySeconds?: number) => {
    const prefix = expirySeconds === undefined ? 'k1' : `k1.${expirySeconds}`;
    const mac = createHmac('sha256', Buffer.from(secret, 'hex'))
      .update(`${prefix}${rest}`)
      .digest('base64url');
    return `${mesh.gatewayUrl}/i/${prefix}.${mac}${rest}`;
  };

  it('answers a result that browsers may keep, by condition and in part', async () => {
    const url = sign(`/resize:32x16/grayscale/${id}.png`);
    const reply = await fetch(url);
    const bytes = Buffer.from(await reply.arrayBuffer());
    expect(reply.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    expect((await pixelsOf(bytes)).at(2, 2)[0]).toBe(76);
    const etag = reply.headers.get('etag') ?? '';
    expect((await fetch(url, { headers: { 'if-none-match': etag } })).status).toBe(304);
    const part = await fetch(url, { headers: { range: 'bytes=1-3', 'if-range': etag } });
    expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 1-3/${bytes.length}`]);
    expect(await part.text()).toBe('PNG');
    expect((await fetch(url, { headers: { range: `bytes=${bytes.length}-` } })).status).toBe(416);
    const head = await fetch(url, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(bytes.length)]);
  });

  it('answers in the format that the client takes, and says that it depends on it', async () => {
    const url = sign(`/preset:thumb/${id}.auto`);
    const webp = await fetch(url, { headers: { accept: 'image/webp' } });
    const png = await fetch(url, { headers: { accept: '*/*' } });
    expect([webp, png].map(({ headers }) => [headers.get('content-type'), headers.get('vary')])).toEqual([
      ['image/webp', 'Accept'],
      ['image/png', 'Accept'],
    ]);
  });

  it('makes a result once, however many ask for it at once', async () => {
    const url = sign(`/resize:300x300/median_blur:31/${id}.webp`);
    const runs = () => mesh.logs('filter-1').filter((line) => line.includes('median_blur')).length;
    const before = runs();
    const replies = await Promise.all(Array.from({ length: 8 }, () => fetch(url)));
    expect(replies.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200));
    expect(new Set(replies.map(({ headers }) => headers.get('etag'))).size).toBe(1);
    await vi.waitFor(() => expect(runs() - before).toBe(1), 10_000);
  });

  it('refuses other paths, other signatures, expired ones, and images that nobody has', async () => {
    const url = sign(`/blur:5/${id}.png`);
    const soon = Math.floor(Date.now() / 1000) + 100;
    expect((await fetch(sign(`/blur:5/${id}.png`, soon))).headers.get('cache-control')).toMatch(
      /max-age=(9\d|100),/,
    );
    for (const [bad, status, reason] of [
      [url.replace('blur:5', 'blur:7'), 403, 'SIGNATURE_INVALID'],
      [url.replace('/k1.', '/k2.'), 403, 'SIGNATURE_INVALID'],
      [`${mesh.gatewayUrl}/i/unsafe/blur:5/${id}.png`, 403, 'SIGNATURE_INVALID'],
      [sign(`/blur:5/${id}.png`, 1000), 403, 'SIGNATURE_EXPIRED'],
      [sign(`/blur:4/${id}.png`), 400, 'INVALID_REQUEST'],
      [sign(`/blur:5/${id}.svg`), 415, 'UNSUPPORTED_FORMAT'],
      [sign(`/blur:5/${'0'.repeat(64)}.png`), 404, 'IMAGE_NOT_FOUND'],
      [sign(`/blur:5/${id.slice(1)}.png`), 404, 'ROUTE_NOT_FOUND'],
    ] as const) {
      expect(await errorOf(await fetch(bad)), bad).toMatchObject({ status, reason });
    }
  });
});
