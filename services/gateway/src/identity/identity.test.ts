// Longer than most: each way in is asked the same.
/** Every way into the gateway asks for a key, and each key sees what is its own. Real sockets, a stand-in for the mesh. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  BalancerService,
  ImageService,
  JobService,
  TransformRequestSchema,
  TransformStreamRequestSchema,
  UploadService,
} from '@imagemesh/api';
import { addKey, type KeyLimits, removeKey, type Scope } from '@imagemesh/keys';
import type { RunningService } from '@imagemesh/observe';
import { createSessionPool, openWireCall, type RpcServer, type SessionPool } from '@imagemesh/rpc';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { encoded, startPeer } from '../testing/peer.ts';
import { startTestGateway } from '../testing/test-gateway.ts';
import { accessOfMethod } from './method-access.ts';

// A whole PNG: 1x1 px, red.
const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC',
  'base64',
);
const transform = '/imagemesh.v1.ImageService/Transform';
const transformJson = JSON.stringify({ source: { data: png.toString('base64') } });
const all: readonly Scope[] = ['transform', 'upload', 'read', 'jobs', 'admin'];

let folder: string;
let path: string;
let peer: RpcServer;
let gateway: RunningService;
let base: string;
let pool: SessionPool;
const keys: Record<string, string> = {};

async function newKey(
  id: string,
  scopes: readonly Scope[],
  more: { owner?: string; expiresAtMs?: number; limits?: KeyLimits } = {},
) {
  keys[id] = await addKey(path, { id, owner: id, limits: {}, scopes, ...more });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'identity-'));
  path = join(folder, 'keys.json');
  await newKey('alice', all);
  await newKey('alice-next', all, { owner: 'alice' });
  await newKey('bob', ['upload', 'read']);
  await newKey('slow', all, { limits: { callsPerSecond: 1 } });
  await newKey('small', all, { limits: { bytesPerMinute: 10, pixelsPerMinute: 1000 } });
  await newKey('single', all, { limits: { concurrentCalls: 1 } });
  await newKey('old', all, { expiresAtMs: Date.now() - 1 });
  const { address, server } = await startPeer(encoded);
  peer = server;
  gateway = await startTestGateway(folder, { BALANCER_ADDRESSES: address, API_KEYS_FILE: path });
  base = `http://${gateway.address}`;
  pool = createSessionPool(gateway.address);
});
afterAll(async () => {
  await pool.close();
  await gateway.close(1000);
  await peer.close(0);
  await rm(folder, { recursive: true });
});

/** By plain gRPC over the hot path: OK, or the error's reason. */
async function onWire(metadata: Record<string, string>): Promise<string> {
  const call = openWireCall(pool, { path: transform, metadata });
  const request = create(TransformRequestSchema, { source: { source: { case: 'data', value: png } } });
  call.writer.message(toBinary(TransformRequestSchema, request)).catch(() => {});
  call.end();
  call.reader.message().catch(() => {});
  return call.status.then(
    () => 'OK',
    (error) => error.reason,
  );
}

/** By a POST of the content type: OK, or the error's reason wherever the protocol has it, and the HTTP status. */
async function onConnect(type: string, body: string | Uint8Array, headers: Record<string, string>) {
  const reply = await fetch(`${base}${transform}`, {
    method: 'POST',
    body,
    headers: { 'content-type': type, ...headers },
  });
  const reason = reply.headers.get('im-reason') ?? (reply.ok ? 'OK' : 'no reason');
  return {
    reason,
    status: reply.status,
    challenge: reply.headers.get('www-authenticate'),
    text: await reply.text(),
  };
}

const protoBody = toBinary(
  TransformRequestSchema,
  create(TransformRequestSchema, { source: { source: { case: 'data', value: png } } }),
);
function framed(message: Uint8Array): Uint8Array {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

const ways: readonly [name: string, call: (headers: Record<string, string>) => Promise<string>][] = [
  ['gRPC', onWire],
  [
    'gRPC-Web',
    async (headers) => (await onConnect('application/grpc-web+proto', framed(protoBody), headers)).reason,
  ],
  ['Connect JSON', async (headers) => (await onConnect('application/json', transformJson, headers)).reason],
  ['Connect protobuf', async (headers) => (await onConnect('application/proto', protoBody, headers)).reason],
  [
    'POST /upload',
    async (headers) => {
      const reply = await fetch(`${base}/upload`, { method: 'POST', body: png, headers });
      const { error } = (await reply.json()) as { error?: { reason: string } };
      return error?.reason ?? 'OK';
    },
  ],
];

describe.each(ways)('%s', (name, call) => {
  const bearer = (key = '') => ({ authorization: `Bearer ${key}` });

  it('takes a key as bearer token or x-api-key', async () => {
    expect(await call(bearer(keys.alice))).toBe('OK');
    expect(await call({ 'x-api-key': keys.alice ?? '' })).toBe('OK');
    expect(await call({ ...bearer(keys.alice), 'x-api-key': keys.alice ?? '' })).toBe('OK');
  });

  it('refuses who has none, a wrong one, two, or one that has expired', async () => {
    const forged = `${keys.alice?.slice(0, -43)}${randomBytes(32).toString('base64url')}`;
    expect(await call({})).toBe('API_KEY_MISSING');
    expect(await call({ authorization: 'Basic YTpi' })).toBe('API_KEY_MISSING');
    expect(await call(bearer('nonsense'))).toBe('API_KEY_INVALID');
    expect(await call(bearer(forged))).toBe('API_KEY_INVALID');
    expect(await call(bearer(forged.replace('alice', 'nobody')))).toBe('API_KEY_INVALID');
    expect(await call({ ...bearer(keys.alice), 'x-api-key': keys.bob ?? '' })).toBe('API_KEY_INVALID');
    expect(await call(bearer(keys.old))).toBe('API_KEY_EXPIRED');
  });

  it('refuses a key that is not for this', async () => {
    expect(await call(bearer(keys.bob))).toBe(name === 'POST /upload' ? 'OK' : 'SCOPE_MISSING');
  });
});

it('refuses in the form of each protocol, with a challenge where HTTP has one', async () => {
  const connect = await onConnect('application/json', transformJson, {});
  expect(connect).toMatchObject({ status: 401, challenge: 'Bearer realm="imagemesh"' });
  expect(JSON.parse(connect.text)).toMatchObject({
    code: 'unauthenticated',
    details: [{ type: 'google.rpc.ErrorInfo' }],
  });
  const scope = await onConnect('application/json', transformJson, { 'x-api-key': keys.bob ?? '' });
  expect(scope).toMatchObject({ status: 403, challenge: expect.stringContaining('insufficient_scope') });
  const web = await onConnect('application/grpc-web+proto', framed(protoBody), {});
  expect(web).toMatchObject({ status: 200, text: '' });
  const stream = await fetch(`${base}/imagemesh.v1.ImageService/TransformStream`, {
    method: 'POST',
    headers: { 'content-type': 'application/connect+proto' },
    body: framed(toBinary(TransformStreamRequestSchema, create(TransformStreamRequestSchema))),
  });
  const envelope = Buffer.from(await stream.arrayBuffer());
  expect([stream.status, envelope[0]]).toEqual([200, 2]);
  expect(JSON.parse(envelope.subarray(5).toString())).toMatchObject({ error: { code: 'unauthenticated' } });
});

it('refuses a call by Connect GET as any other', async () => {
  const message = encodeURIComponent(`{"imageId":"${'0'.repeat(64)}"}`);
  const url = `${base}/imagemesh.v1.ImageService/GetImage?connect=v1&encoding=json&message=${message}`;
  expect((await fetch(url)).status).toBe(401);
  expect((await fetch(url, { headers: { 'x-api-key': keys.alice ?? '' } })).status).toBe(404);
});

it('keeps the connection of a call that it refuses, where all of that has come', async () => {
  const small = (path: string, type: string) =>
    `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\ncontent-length: 2\r\n\r\n{}`;
  const socket = connect(Number(gateway.address.split(':')[1]), '127.0.0.1');
  socket.end(
    small(transform, 'application/json') + small('/resize', 'application/json') + small('/upload', 'x/y'),
  );
  expect((await text(socket)).match(/HTTP\/1.1 401/g)).toHaveLength(3);
});

it('reads nothing of the body of a call that it refuses', async () => {
  let sent = 0;
  const body = new ReadableStream({
    pull(controller) {
      sent += 65_536;
      if (sent > 64 * 1024 * 1024) controller.close();
      else controller.enqueue(new Uint8Array(65_536));
    },
  });
  const init = {
    method: 'POST',
    body,
    duplex: 'half',
    headers: { 'content-type': 'application/proto' },
  } as const;
  // Where the answer comes while the client sends, some clients see a broken connection instead of it.
  await fetch(`${base}${transform}`, init).catch(() => undefined);
  expect(sent).toBeLessThan(64 * 1024 * 1024);
});

it('shows a key the images of its owner only', async () => {
  const body = Buffer.concat([png, Buffer.of(0)]);
  const upload = await fetch(`${base}/upload`, {
    method: 'POST',
    body,
    headers: { 'x-api-key': keys.alice ?? '' },
  });
  const { image_id: id } = (await upload.json()) as { image_id: string };
  const statusFor = async (key = '') =>
    (await fetch(`${base}/images/${id}`, { headers: { 'x-api-key': key } })).status;
  expect(await statusFor(keys.alice)).toBe(200);
  expect(await statusFor(keys['alice-next'])).toBe(200);
  expect(await statusFor(keys.bob)).toBe(404);
  expect(await statusFor()).toBe(401);
});

it('asks for no key to list the operations and to probe health', async () => {
  for (const [method, body] of [
    ['imagemesh.v1.ImageService/ListOperations', '{}'],
    ['grpc.health.v1.Health/Check', '{}'],
  ]) {
    const reply = await fetch(`${base}/${method}`, {
      method: 'POST',
      ...(body !== undefined && { body }),
      headers: { 'content-type': 'application/json' },
    });
    expect(reply.status, method).toBe(200);
  }
});

it('lets only admins drain', async () => {
  const drain = (key = '') =>
    fetch(`${base}/imagemesh.v1.BalancerService/DrainReplica`, {
      method: 'POST',
      body: '{"replicaId":"none"}',
      headers: { 'content-type': 'application/json', 'x-api-key': key },
    });
  expect((await drain(keys.bob)).status).toBe(403);
  expect((await drain(keys.alice)).status).not.toBe(403);
});

describe('limits of a key', () => {
  const headersOf = (id: string) => ({ 'x-api-key': keys[id] ?? '' });

  it('hold over every protocol together, and say when to come again', async () => {
    const look = () => fetch(`${base}/images/${'0'.repeat(64)}`, { headers: headersOf('slow') });
    let over = await look();
    // Each takes a fraction of a second.
    for (let calls = 1; calls < 100 && over.status === 404; calls++) over = await look();
    expect(over.status).toBe(429);
    expect(Number(over.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await over.json()).toMatchObject({
      error: { reason: 'QUOTA_EXCEEDED', details: { metadata: { limit: 'callsPerSecond', key: 'slow' } } },
    });
    await vi.waitFor(async () => expect(await onWire(headersOf('slow'))).toBe('QUOTA_EXCEEDED'));
    const connect = await vi.waitFor(async () => {
      const reply = await onConnect('application/json', transformJson, headersOf('slow'));
      expect(reply.status).toBe(429);
      return reply;
    });
    expect(connect).toMatchObject({ reason: 'QUOTA_EXCEEDED', status: 429 });
    expect(JSON.parse(connect.text).details.map(({ type }: { type: string }) => type)).toEqual([
      'google.rpc.ErrorInfo',
      'google.rpc.RetryInfo',
      'google.rpc.QuotaFailure',
    ]);
  });

  it('count the pixels of headers and the bytes of bodies', async () => {
    expect(await onWire(headersOf('small'))).toBe('OK');
    expect(await onWire(headersOf('small'))).toBe('QUOTA_EXCEEDED');
    const upload = await fetch(`${base}/upload`, { method: 'POST', body: png, headers: headersOf('small') });
    expect(upload.status).toBe(429);
  });

  it('count calls under way, and give their place back when the client leaves', async () => {
    const leaving = new AbortController();
    const watch = await fetch(`${base}/imagemesh.v1.BalancerService/WatchReplicas`, {
      method: 'POST',
      body: framed(new Uint8Array(0)),
      headers: { 'content-type': 'application/connect+proto', ...headersOf('single') },
      signal: leaving.signal,
    });
    expect(watch.status).toBe(200);
    const status = async () =>
      (await fetch(`${base}/images/${'0'.repeat(64)}`, { headers: headersOf('single') })).status;
    expect(await status()).toBe(429);
    leaving.abort();
    await vi.waitFor(async () => expect(await status()).toBe(404), { timeout: 10_000 });
  });
});

it('notices when the file changes, and keeps the keys when it is damaged', async () => {
  const status = async (key = '') =>
    (await onConnect('application/json', transformJson, { 'x-api-key': key })).status;
  await newKey('late', ['transform']);
  await vi.waitFor(async () => expect(await status(keys.late)).toBe(200), { timeout: 10_000, interval: 100 });
  await removeKey(path, 'late');
  await vi.waitFor(async () => expect(await status(keys.late)).toBe(401), { timeout: 10_000, interval: 100 });
  await writeFile(path, '{ "keys": [');
  await expect.poll(() => status(keys.alice), { timeout: 2500, interval: 500 }).toBe(200);
});

it('has a place in the table for every method, and none for others', () => {
  for (const service of [ImageService, UploadService, JobService, BalancerService]) {
    for (const { name } of service.methods) {
      const access = accessOfMethod(`/${service.typeName}/${name}`);
      expect(access === 'closed', `${service.typeName}/${name}`).toBe(name === 'Join');
    }
  }
  expect(accessOfMethod('/imagemesh.v1.ImageService/Nothing')).toBe('closed');
  expect(accessOfMethod('/grpc.health.v1.Health/Watch')).toBe('open');
});
