// Longer than most: every test needs the same gateway, store and requests over real sockets.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { createNoEvents } from '@imagemesh/events';
import { defaultLimits } from '@imagemesh/image';
import { createLogger, createMetrics } from '@imagemesh/observe';
import { MeshError } from '@imagemesh/rpc';
import { openBlobStore, openClaims } from '@imagemesh/store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { everybody } from '../identity/caller.ts';
import { createMemoryBudget } from '../memory-budget.ts';
import { createStoreImage } from '../store-image.ts';
import { readForm } from './form.ts';
import { imagesRoute } from './images.ts';
import { createRest } from './index.ts';
import { pageRoutes } from './page.ts';
import { type Route, sendJson } from './route.ts';
import { uploadRoute } from './upload.ts';

// A whole PNG: 1x1 px, red.
const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC',
  'base64',
);
const lingerMs = 50;
let folder: string;
let base: string;
let close: () => void;
const logged: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rest-test-'));
  const url = `file:${folder}/store`;
  const store = await openBlobStore(url);
  const claims = openClaims(url);
  const limits = { ...defaultLimits, maxInputBytes: 100_000 };
  const storeImage = createStoreImage({
    store,
    claims,
    events: createNoEvents(),
    limits,
    budget: createMemoryBudget(1e9),
  });
  const page = join(folder, 'page');
  await mkdir(join(page, 'assets'), { recursive: true });
  await writeFile(join(page, 'index.html'), '<title>page</title>');
  await writeFile(join(page, 'assets', 'a-1.js'), '1');
  const echo: Route = {
    method: 'POST',
    pattern: /^\/echo$/,
    name: '/echo',
    access: 'open',
    async serve({ request, response, signal }) {
      const fields = await readForm(request, signal, async (bytes, filename) => {
        let size = 0;
        for await (const part of bytes) size += part.length;
        return `${filename}:${size}`;
      });
      sendJson(response, 200, Object.fromEntries(fields));
    },
  };
  // Says that a form is refused only once its request is over, as a slower store does.
  const refuse: Route = {
    method: 'POST',
    pattern: /^\/refuse$/,
    name: '/refuse',
    access: 'open',
    async serve({ request, signal }) {
      const closed = new Promise((resolve) => request.once('close', resolve));
      try {
        await readForm(request, signal, async () => {
          throw new MeshError('NOT_AN_IMAGE', 'this is no image');
        });
      } finally {
        await closed;
      }
    },
  };
  const rest = createRest({
    enter: () => ({ caller: everybody, budget: createMemoryBudget(1e9) }),
    routes: [refuse, uploadRoute(storeImage), imagesRoute(claims, store), echo, ...(await pageRoutes(page))],
    timeoutMs: 5000,
    lingerMs,
    log: createLogger({ name: 'test', destination: { write: (line) => logged.push(line) } }),
    metrics: createMetrics('test'),
  });
  const server = http.createServer(rest);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // A TCP server's address is never a string.
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  close = () => {
    server.close();
    server.closeAllConnections();
    void store.close();
  };
});
afterAll(async () => {
  close();
  await rm(folder, { recursive: true });
});

type Body = NonNullable<RequestInit['body']>;

/** A parse boundary: the tests say what they expect in it. */
async function jsonOf(reply: Response): Promise<Record<string, unknown>> {
  return (await reply.json()) as Record<string, unknown>;
}

async function errorOf(reply: Response) {
  const { error } = await jsonOf(reply);
  return { status: reply.status, ...(error as object) };
}

function form(fields: Record<string, string | Blob>): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.set(name, value);
  return data;
}

describe('POST /upload and GET /images/{id}', () => {
  it('checks the digest that a raw body comes with, and keeps nothing of another', async () => {
    const digest = createHash('sha256').update(png).digest('base64');
    const upload = (header: string, body: Body = png) =>
      fetch(`${base}/upload?filename=a.png`, { method: 'POST', body, headers: { 'content-digest': header } });
    const stored = await upload(`sha-256=:${digest}:`);
    expect(await jsonOf(stored)).toMatchObject({ filename: 'a.png' });
    const wrong = Buffer.alloc(32).toString('base64');
    expect(await errorOf(await upload(`sha-256=:${wrong}:`))).toMatchObject({
      status: 400,
      reason: 'DIGEST_MISMATCH',
    });
    expect(await errorOf(await upload('sha-256=1'))).toMatchObject({
      status: 400,
      reason: 'INVALID_REQUEST',
    });
    const inForm = await upload(`sha-256=:${digest}:`, form({ image: new Blob([png]) }));
    expect(await errorOf(inForm)).toMatchObject({ status: 400, reason: 'INVALID_REQUEST' });
    expect(await readdir(join(folder, 'store/incoming'))).toEqual([]);
  });

  it('takes a raw body or a form, and gives the same bytes back', async () => {
    const raw = await fetch(`${base}/upload`, { method: 'POST', body: png });
    expect(raw.status).toBe(201);
    const image = await jsonOf(raw);
    expect(image).toMatchObject({ format: 'png', width: 1, height: 1, size_bytes: png.length });
    expect(image.image_id).toMatch(/^[0-9a-f]{64}$/);
    const again = await fetch(`${base}/upload`, { method: 'POST', body: form({ image: new Blob([png]) }) });
    expect((await jsonOf(again)).image_id).toBe(image.image_id);

    const got = await fetch(`${base}${raw.headers.get('location')}`);
    expect(Buffer.from(await got.arrayBuffer())).toEqual(png);
    expect(Object.fromEntries(got.headers)).toMatchObject({
      'content-type': 'image/png',
      'content-length': String(png.length),
      'x-content-type-options': 'nosniff',
      etag: `"${image.image_id}"`,
    });
    const cached = await fetch(got.url, {
      headers: { 'if-none-match': `W/"x", ${got.headers.get('etag')}` },
    });
    expect(cached.status).toBe(304);
    const head = await fetch(got.url, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([
      200,
      String(png.length),
      '',
    ]);
  });

  it('logs who got the whole image as served, not as one who gave up', async () => {
    const stored = await fetch(`${base}/upload`, { method: 'POST', body: png });
    const { image_id: id } = await jsonOf(stored);
    const requestId = 'whole-image';
    const reply = await fetch(`${base}/images/${id}`, { headers: { 'x-request-id': requestId } });
    await reply.arrayBuffer();
    const lines = () => logged.map((line) => JSON.parse(line)).filter((line) => line.requestId === requestId);
    await expect.poll(lines).toHaveLength(1);
    expect(lines()[0]).toMatchObject({ status: 200 });
    expect(lines()[0]).not.toHaveProperty('reason');
  });

  it('says what is wrong with an upload', async () => {
    const post = async (body: Body, headers: Record<string, string> = {}) =>
      errorOf(await fetch(`${base}/upload`, { method: 'POST', body, headers }));
    expect(await post('')).toMatchObject({ status: 415, reason: 'NOT_AN_IMAGE', code: 'invalid_argument' });
    expect(await post('this is surely not an image, whatever else')).toMatchObject({
      status: 415,
      reason: 'NOT_AN_IMAGE',
    });
    expect(await post(png.subarray(0, 20))).toMatchObject({ status: 400, reason: 'DAMAGED_IMAGE' });
    expect(await post(Buffer.alloc(100_001))).toMatchObject({ status: 413, reason: 'BODY_TOO_LARGE' });
    expect(await post(form({ picture: new Blob([png]) }))).toMatchObject({
      status: 400,
      reason: 'INVALID_REQUEST',
    });
    expect(await post(form({ other: 'x' }))).toMatchObject({
      status: 400,
      details: { violations: [{ field: 'image' }] },
    });
    expect(await post(png, { 'content-type': 'multipart/form-data' })).toMatchObject({ status: 400 });
    expect(await post(png, { 'content-type': 'multipart/form-data; boundary=x' })).toMatchObject({
      status: 400,
    });
  });

  it('refuses a body that grows over the limit without announcing it', async () => {
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(png);
        for (let count = 0; count < 4; count++) controller.enqueue(Buffer.alloc(40_000));
        controller.close();
      },
    });
    const reply = await fetch(`${base}/upload`, { method: 'POST', body, duplex: 'half' } as RequestInit);
    expect(await errorOf(reply)).toMatchObject({ status: 413, reason: 'BODY_TOO_LARGE' });
  });

  it('survives a client that leaves in the middle of its form', async () => {
    const socket = connect(Number(new URL(base).port), '127.0.0.1');
    socket.write(
      'POST /upload HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\ncontent-type: multipart/form-data; boundary=b\r\n\r\n' +
        '--b\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\nabc',
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.destroy();
    expect((await fetch(`${base}/upload`, { method: 'POST', body: png })).status).toBe(201);
  });

  it('outlives the connection of a form that was refused while it was sent', async () => {
    const { hostname, port } = new URL(base);
    const socket = connect(Number(port), hostname);
    // The server closes it while it is being written to.
    socket.on('error', () => {});
    const closed = new Promise((resolve) => socket.once('close', resolve));
    let reply = '';
    socket.on('data', (bytes) => {
      reply += bytes.toString();
    });
    socket.write(
      'POST /refuse HTTP/1.1\r\nhost: test\r\ncontent-type: multipart/form-data; boundary=b\r\n' +
        'content-length: 2000000\r\n\r\n--b\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\n',
    );
    socket.write(Buffer.alloc(1_500_000, 'not an image'));
    await closed;
    // The connection would be cut now, were it still there.
    await sleep(2 * lingerMs);
    expect(reply).toContain('NOT_AN_IMAGE');
    expect((await fetch(`${base}/upload`, { method: 'POST', body: png })).status).toBe(201);
  });

  it('knows no image without a claim', async () => {
    expect(await errorOf(await fetch(`${base}/images/${'0'.repeat(64)}`))).toMatchObject({
      status: 404,
      reason: 'IMAGE_NOT_FOUND',
    });
  });
});

describe('readForm', () => {
  const echo = async (body: Body, headers: Record<string, string> = {}) =>
    fetch(`${base}/echo`, { method: 'POST', body, headers });

  it('reads every kind of form', async () => {
    expect(await (await echo(new URLSearchParams({ width: '5', a: 'b c' }))).json()).toEqual({
      width: '5',
      a: 'b c',
    });
    expect(
      await (await echo('{"width":5,"deep":true}', { 'content-type': 'application/json' })).json(),
    ).toEqual({
      width: '5',
      deep: 'true',
    });
    const fields = form({ width: '5', image: new File([png], 'ä.png') });
    expect(await (await echo(fields)).json()).toEqual({ width: '5', image: `ä.png:${png.length}` });
  });

  it('says what is wrong with a form', async () => {
    const json = { 'content-type': 'application/json' };
    expect(await errorOf(await echo('{', json))).toMatchObject({ status: 400, reason: 'INVALID_REQUEST' });
    expect(await errorOf(await echo('[1]', json))).toMatchObject({ status: 400 });
    expect(await errorOf(await echo('{"a":{}}', json))).toMatchObject({
      details: { violations: [{ field: 'a' }] },
    });
    expect(await errorOf(await echo(`{"a":"${'x'.repeat(70_000)}"}`, json))).toMatchObject({ status: 413 });
    expect(await errorOf(await echo('x', { 'content-type': 'text/plain' }))).toMatchObject({ status: 400 });
    expect(await errorOf(await echo(form({ a: 'x'.repeat(5000) })))).toMatchObject({
      details: { violations: [{ field: 'a' }] },
    });
  });
});

describe('every reply', () => {
  it('is 504 when the time that the client gives is over, and 400 where that is no time', async () => {
    const request = (timeout: string) =>
      http.request(`${base}/upload`, { method: 'POST', headers: { 'connect-timeout-ms': timeout } });
    const outcome = async (timeout: string) => {
      const call = request(timeout);
      call.on('error', () => {});
      call.write(png.subarray(0, 40));
      const [reply] = (await once(call, 'response')) as [http.IncomingMessage];
      const { error } = JSON.parse(await text(reply)) as { error: { reason: string } };
      call.destroy();
      return [reply.statusCode, error.reason];
    };
    expect(await outcome('50')).toEqual([504, 'DEADLINE_EXCEEDED']);
    expect(await outcome('0')).toEqual([504, 'DEADLINE_EXCEEDED']);
    for (const wrong of ['1s', '-1', '12345678901'])
      expect(await outcome(wrong)).toEqual([400, 'INVALID_REQUEST']);
    const inTime = await fetch(`${base}/upload`, {
      method: 'POST',
      body: png,
      headers: { 'connect-timeout-ms': '4000' },
    });
    expect(inTime.status).toBe(201);
  });

  it('carries the id of its request', async () => {
    const given = await fetch(`${base}/`, { headers: { 'x-request-id': 'abc-1' } });
    expect(given.headers.get('x-request-id')).toBe('abc-1');
    const made = await fetch(`${base}/nowhere`, { headers: { 'x-request-id': 'no spaces please' } });
    expect(made.headers.get('x-request-id')).toMatch(/^[0-9a-f]{32}$/);
  });

  it('is JSON for what is not there, and names the methods that are', async () => {
    expect(await errorOf(await fetch(`${base}/nowhere`))).toMatchObject({
      status: 404,
      reason: 'ROUTE_NOT_FOUND',
    });
    const wrong = await fetch(`${base}/upload`);
    expect(wrong.headers.get('allow')).toBe('POST');
    expect(await errorOf(wrong)).toMatchObject({ status: 405, reason: 'METHOD_NOT_ALLOWED' });
    const posted = await fetch(`${base}/images/${'ab'.repeat(32)}`, { method: 'POST' });
    expect(posted.headers.get('allow')).toBe('GET, HEAD');
    expect(await errorOf(posted)).toMatchObject({ status: 405, reason: 'METHOD_NOT_ALLOWED' });
  });

  it('survives paths that are no URL', async () => {
    for (const path of ['//', '/%', '*', 'http://', '/a b']) {
      const socket = connect(Number(new URL(base).port), '127.0.0.1');
      socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
      expect(await text(socket)).toMatch(/^HTTP\/1\.1 40[04]/);
    }
  });
});

describe('the page', () => {
  it('is served with its types, and nothing beside it', async () => {
    const page = await fetch(`${base}/`);
    expect(await page.text()).toBe('<title>page</title>');
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    const script = await fetch(`${base}/assets/a-1.js`);
    expect(script.headers.get('content-type')).toMatch(/javascript/);
    expect(script.headers.get('cache-control')).toContain('immutable');
    expect((await fetch(`${base}/assets/..%2f..%2fstore`)).status).toBe(404);
    const cached = await fetch(`${base}/`, { headers: { 'if-none-match': page.headers.get('etag') ?? '' } });
    expect(cached.status).toBe(304);
  });
});
