/** The framed byte streams against grpc-js, both ways. */
import { createHash, randomBytes } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
} from '@grpc/grpc-js';
import { ResizeRequestSchema, type ResizeResponse, ResizeResponseSchema, StatusSchema } from '@imagemesh/api';
import { afterEach, describe, expect, it } from 'vitest';
import { deadlineIn } from './deadline.ts';
import { MeshError, toStatus } from './errors.ts';
import { toMeshError } from './mesh-errors.ts';
import { startRpcServer } from './server.ts';
import { createSessionPool } from './sessions.ts';
import type { ServerWireCall } from './wire.ts';
import { openWireCall } from './wire-client.ts';
import { wireHandler } from './wire-server.ts';

const path = '/imagemesh.v1.ResizeService/Resize';
const size = 20 * 1024 * 1024 + 13;
const limits = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function response(message: ResizeResponse['message']): Buffer {
  return Buffer.from(toBinary(ResizeResponseSchema, create(ResizeResponseSchema, { message })));
}

function specBytes(sizeBytes: number): Buffer {
  const message = { case: 'spec', value: { sizeBytes: BigInt(sizeBytes) } } as const;
  return Buffer.from(toBinary(ResizeRequestSchema, create(ResizeRequestSchema, { message })));
}

const header = response({
  case: 'header',
  value: fromBinary(ResizeResponseSchema, Buffer.from([0x0a, 0])).message.value as never,
});

const identity = (bytes: Buffer) => bytes;

describe('a grpc-js client of wireHandler', () => {
  async function clientOf(handler: (call: ServerWireCall) => Promise<void>): Promise<Client> {
    const server = await startRpcServer({
      routes: () => {},
      streams: new Map([[path, wireHandler(handler)]]),
    });
    cleanups.push(() => server.close(100));
    const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure(), limits);
    cleanups.push(() => client.close());
    return client;
  }

  async function echo(call: ServerWireCall): Promise<void> {
    const first = await call.reader.message();
    const spec = fromBinary(ResizeRequestSchema, first ?? Buffer.alloc(0)).message;
    if (spec.case !== 'spec') throw new MeshError('INVALID_REQUEST', 'no spec');
    const target = Buffer.allocUnsafe(Number(spec.value.sizeBytes));
    await call.reader.chunksInto(target);
    await call.writer.message(header);
    await call.writer.chunks(target);
    call.trailers['im-replica'] = 'r9';
  }

  it('sends 20 MB and gets them back', async () => {
    const client = await clientOf(echo);
    const body = randomBytes(size);
    const call = client.makeBidiStreamRequest(path, identity, identity);
    const parts: Uint8Array[] = [];
    const ended = new Promise<Metadata>((resolve, reject) => {
      call.on('data', (bytes: Buffer) => {
        const { message } = fromBinary(ResizeResponseSchema, bytes);
        if (message.case === 'chunk') parts.push(message.value);
      });
      call.on('status', (status) => resolve(status.metadata));
      call.on('error', reject);
    });
    call.write(specBytes(size));
    for (let at = 0; at < size; at += 65_536) {
      const chunk = body.subarray(at, at + 65_536);
      const bytes = toBinary(
        ResizeRequestSchema,
        create(ResizeRequestSchema, { message: { case: 'chunk', value: chunk } }),
      );
      if (!call.write(Buffer.from(bytes))) await new Promise((resolve) => call.once('drain', resolve));
    }
    call.end();
    const metadata = await ended;
    expect(digest(Buffer.concat(parts))).toBe(digest(body));
    expect(metadata.get('im-replica')).toEqual(['r9']);
  });

  it('gets an error with its details', async () => {
    const client = await clientOf(async () => {
      throw new MeshError('IMAGE_NOT_FOUND', 'kein Bild „x“', { resource: { type: 'image', name: 'x' } });
    });
    const call = client.makeBidiStreamRequest(path, identity, identity);
    call.resume();
    const error = await new Promise<unknown>((resolve) => call.on('error', resolve));
    expect(error).toMatchObject({ code: 5, details: 'kein Bild „x“' });
    expect(toMeshError(error)).toMatchObject({
      reason: 'IMAGE_NOT_FOUND',
      resource: { type: 'image', name: 'x' },
    });
  });

  it('gets an error after part of a reply', async () => {
    const client = await clientOf(async (call) => {
      await call.writer.message(header);
      throw new MeshError('STORE_FAILED', 'disk');
    });
    const call = client.makeBidiStreamRequest(path, identity, identity);
    let messages = 0;
    call.on('data', () => messages++);
    const error = await new Promise<unknown>((resolve) => call.on('error', resolve));
    expect(toMeshError(error)).toMatchObject({ reason: 'STORE_FAILED' });
    expect(messages).toBe(1);
  });

  it('is heard when it cancels', async () => {
    let reason: unknown;
    const client = await clientOf(async (call) => {
      await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
      reason = call.signal.reason;
    });
    const call = client.makeBidiStreamRequest(path, identity, identity);
    call.on('error', () => {});
    call.write(specBytes(1));
    setTimeout(() => call.cancel(), 30);
    await expect.poll(() => reason).toMatchObject({ reason: 'CANCELLED' });
  });

  it('has its deadline kept', async () => {
    let reason: unknown;
    const client = await clientOf(async (call) => {
      expect(call.deadline?.atMs).toBeGreaterThan(Date.now());
      await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
      reason = call.signal.reason;
    });
    const call = client.makeBidiStreamRequest(path, identity, identity, new Metadata(), {
      deadline: Date.now() + 80,
    });
    call.resume();
    const error = await new Promise<unknown>((resolve) => call.on('error', resolve));
    expect(error).toMatchObject({ code: 4 });
    await expect.poll(() => reason).toBeInstanceOf(MeshError);
  });
});

describe('openWireCall on a grpc-js server', () => {
  type Call = ServerDuplexStream<Buffer, Buffer>;

  async function poolOf(handler: (call: Call) => void) {
    const server = new Server(limits);
    server.register<Buffer, Buffer>(path, handler as never, identity, identity, 'bidi');
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    cleanups.push(() => server.forceShutdown());
    const pool = createSessionPool(`127.0.0.1:${port}`);
    cleanups.push(() => pool.close());
    return pool;
  }

  it('sends 20 MB and gets them back', async () => {
    const pool = await poolOf((call) => {
      let isFirst = true;
      call.on('data', (bytes: Buffer) => {
        // ResizeRequest and ResizeResponse are the same on the wire.
        if (!call.write(isFirst ? header : bytes)) {
          call.pause();
          call.once('drain', () => call.resume());
        }
        isFirst = false;
      });
      call.on('end', () => call.end());
    });
    const body = randomBytes(size);
    const call = openWireCall(pool, { path, deadline: deadlineIn(14_000) });
    const back = Buffer.alloc(size);
    const reading = call.reader.message().then(() => call.reader.chunksInto(back));
    await call.writer.message(specBytes(size));
    await call.writer.chunks(body);
    call.end();
    await reading;
    await call.status;
    expect(digest(back)).toBe(digest(body));
  });

  it('gets an error with its details, at once and after part of a reply', async () => {
    const status = toStatus(new MeshError('QUEUE_FULL', 'voll', { retryAfterMs: 250 }));
    const metadata = new Metadata();
    metadata.set('grpc-status-details-bin', Buffer.from(toBinary(StatusSchema, status)));
    let isLate = false;
    const pool = await poolOf((call) => {
      if (isLate) call.write(header);
      call.emit('error', { code: 8, details: 'voll', metadata });
    });
    for (isLate of [false, true]) {
      const call = openWireCall(pool, { path });
      await expect(call.status).rejects.toMatchObject({
        reason: 'QUEUE_FULL',
        message: 'voll',
        retryAfterMs: 250,
      });
      expect(call.isLost).toBe(false);
    }
  });

  it('makes the best of an error without details', async () => {
    const pool = await poolOf((call) => call.emit('error', { code: 14, details: 'elsewhere' }));
    const call = openWireCall(pool, { path });
    await expect(call.status).rejects.toMatchObject({ code: 'unavailable', message: 'elsewhere' });
  });

  it('is heard when it cancels, and when its deadline passes', async () => {
    let cancelled = 0;
    const deadlines: unknown[] = [];
    const pool = await poolOf((call) => {
      deadlines.push(call.getDeadline());
      call.on('cancelled', () => cancelled++);
    });
    const first = openWireCall(pool, { path });
    await first.writer.message(specBytes(1));
    setTimeout(() => first.cancel(), 30);
    await expect(first.status).rejects.toMatchObject({ reason: 'CANCELLED' });
    await expect.poll(() => cancelled).toBe(1);
    const second = openWireCall(pool, { path, deadline: deadlineIn(80) });
    await expect(second.status).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
    await expect.poll(() => cancelled).toBe(2);
    expect(deadlines[1]).not.toBe(Number.POSITIVE_INFINITY);
  });

  it('says that a method does not exist', async () => {
    const pool = await poolOf(() => {});
    const call = openWireCall(pool, { path: '/imagemesh.v1.ResizeService/Nothing' });
    await expect(call.status).rejects.toMatchObject({ code: 'unimplemented' });
  });
});
