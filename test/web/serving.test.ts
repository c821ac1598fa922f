/** How the gateway serves the page: fresh HTML, names with digests that never change, small, and under a strict CSP. */
import { readdir, readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { gzipSync } from 'node:zlib';
import { startMesh, type TestMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';

const dist = new URL('../../web/dist/', import.meta.url);
const maxScriptBytes = 150_000;

let mesh: TestMesh;

beforeAll(async () => {
  mesh = await startMesh({ replicas: { filter: 0 } });
});

afterAll(() => mesh?.stop());

/** Without the decoding that fetch does by itself. */
async function get(path: string, headers: Record<string, string> = {}) {
  const [host, port] = mesh.gatewayAddress.split(':');
  return new Promise<{ status: number; headers: Record<string, unknown>; bytes: Buffer }>(
    (resolve, reject) => {
      const call = request({ host, port, path, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            bytes: Buffer.concat(chunks),
          }),
        );
      });
      call.on('error', reject);
      call.end();
    },
  );
}

test('the page is asked for anew each time, what it loads is kept for ever', async () => {
  const page = await get('/');
  expect(page.headers['cache-control']).toBe('no-cache');
  expect(page.headers['content-security-policy']).toContain("default-src 'none'; script-src 'self'");
  expect(page.headers['content-security-policy']).not.toContain('unsafe');
  expect(page.headers['x-content-type-options']).toBe('nosniff');
  const html = page.bytes.toString();
  const [script = ''] = /\.?\/assets\/[^"]+\.js/.exec(html) ?? [];
  const asset = await get(script.replace(/^\./, ''));
  expect(asset.status).toBe(200);
  expect(asset.headers['cache-control']).toBe('public, max-age=31536000, immutable');
  expect((await get('/', { 'if-none-match': String(page.headers.etag) })).status).toBe(304);
});

test('text is sent as it was compressed ahead, to clients that take it', async () => {
  const plain = await get('/');
  for (const [accepted, encoding] of [
    ['gzip, deflate, br', 'br'],
    ['gzip;q=0.8, br;q=0', 'gzip'],
  ] as const) {
    const encoded = await get('/', { 'accept-encoding': accepted });
    expect(encoded.headers['content-encoding']).toBe(encoding);
    expect(encoded.headers.vary).toBe('accept-encoding');
    expect(encoded.bytes.length).toBeLessThan(plain.bytes.length);
    expect(encoded.headers.etag).not.toBe(plain.headers.etag);
  }
  expect(plain.headers['content-encoding']).toBeUndefined();
});

test(`all JavaScript is under ${maxScriptBytes} bytes of gzip`, async () => {
  const names = (await readdir(new URL('assets/', dist))).filter((name) => name.endsWith('.js'));
  const sizes = await Promise.all(
    names.map(async (name) => gzipSync(await readFile(new URL(`assets/${name}`, dist)), { level: 9 }).length),
  );
  expect(names.length).toBeGreaterThan(0);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(maxScriptBytes);
});
