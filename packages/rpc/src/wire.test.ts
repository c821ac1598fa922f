/** Both ends of the framed byte streams, over real sockets. */
import { createHash, randomBytes } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ResizeRequestSchema, ResizeResponseSchema } from '@imagemesh/api';
import { afterEach, describe, expect, it } from 'vitest';
import { deadlineIn } from './deadline.ts';
import { MeshError } from './errors.ts';
import { type RpcServer, startRpcServer } from './server.ts';
import { createSessionPool, type SessionPool, type SessionPoolOptions } from './sessions.ts';
import type { ServerWireCall } from './wire.ts';
import { openWireCall } from './wire-client.ts';
import { wireHandler } from './wire-server.ts';

const path = '/imagemesh.v1.ResizeService/Resize';
const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(handler: (call: ServerWireCall) => Promise<void>): Promise<RpcServer> {
  const server = await startRpcServer({ routes: () => {}, streams: new Map([[path, wireHandler(handler)]]) });
  cleanups.push(() => server.close(100));
  return server;
}

function poolTo(server: RpcServer, options: SessionPoolOptions = {}): SessionPool {
  const pool = createSessionPool(`127.0.0.1:${server.port}`, options);
  cleanups.push(() => pool.close());
  return pool;
}

const spec = toBinary(
  ResizeRequestSchema,
  create(ResizeRequestSchema, { message: { case: 'spec', value: { sizeBytes: 9n } } }),
);

const header = toBinary(
  ResizeResponseSchema,
  create(ResizeResponseSchema, { message: { case: 'header', value: { replicaId: 'r1' } } }),
);

/** Answers with the spec's replica header and the bytes it got. */
async function echo(call: ServerWireCall): Promise<void> {
  await call.reader.message();
  const parts: Buffer[] = [];
  await call.reader.eachChunk((bytes) => void parts.push(bytes), 64 * 1024 * 1024);
  await call.writer.message(header);
  await call.writer.chunks(Buffer.concat(parts));
  call.trailers['im-replica'] = 'r1';
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

describe('a framed byte stream', () => {
  it('carries 20 MB there and back', async () => {
    const pool = poolTo(await serve(echo));
    const body = randomBytes(20 * 1024 * 1024 + 7);
    const call = openWireCall(pool, { path });
    await call.writer.message(spec);
    await call.writer.chunks(body);
    call.end();
    const first = await call.reader.message();
    expect(fromBinary(ResizeResponseSchema, first ?? new Uint8Array()).message.case).toBe('header');
    const back = Buffer.alloc(body.byteLength);
    await call.reader.chunksInto(back);
    expect(digest(back)).toBe(digest(body));
    const { trailers } = await call.status;
    expect(trailers['im-replica']).toBe('r1');
    await expect.poll(() => pool.streams).toBe(0);
  });

  it('carries an error with its details instead of a reply', async () => {
    const pool = poolTo(
      await serve(async () => {
        throw new MeshError('TOO_MANY_PIXELS', 'größer als 100 % of the limit', {
          metadata: { limit: '100' },
        });
      }),
    );
    const call = openWireCall(pool, { path });
    await expect(call.status).rejects.toMatchObject({
      reason: 'TOO_MANY_PIXELS',
      message: 'größer als 100 % of the limit',
      metadata: { limit: '100' },
    });
    await expect(call.response).rejects.toMatchObject({ reason: 'TOO_MANY_PIXELS' });
    expect(call.hasBegun).toBe(true);
    expect(call.isLost).toBe(false);
  });

  it('lets a server answer early, with or without headers, while a large body is still arriving', async () => {
    const pool = poolTo(
      await serve(async (call) => {
        const first = await call.reader.message();
        if (first?.byteLength === 0) await call.writer.message(header);
        throw new MeshError('REPLICA_BUSY', 'no slot');
      }),
    );
    for (let round = 0; round < 20; round++) {
      const call = openWireCall(pool, { path });
      const sending = call.writer
        .message(spec)
        .then(() => call.writer.chunks(Buffer.alloc(20 * 1024 * 1024)));
      await expect(call.status).rejects.toMatchObject({ reason: 'REPLICA_BUSY' });
      await expect(sending).rejects.toMatchObject({ reason: 'REPLICA_BUSY' });
    }
    expect(pool.isConnected).toBe(true);
  });

  it('ends on both sides at the deadline', async () => {
    let seen: unknown;
    const pool = poolTo(
      await serve(async (call) => {
        await new Promise<void>((resolve) => call.signal.addEventListener('abort', () => resolve()));
        seen = call.signal.reason;
      }),
    );
    const call = openWireCall(pool, { path, deadline: deadlineIn(100) });
    await expect(call.status).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
    await expect.poll(() => seen).toBeInstanceOf(MeshError);
  });

  it('tells the server that the caller gave up', async () => {
    let seen: unknown;
    const pool = poolTo(
      await serve(async (call) => {
        await new Promise<void>((resolve) => call.signal.addEventListener('abort', () => resolve()));
        seen = call.signal.reason;
      }),
    );
    const call = openWireCall(pool, { path });
    await call.writer.message(spec);
    await new Promise((resolve) => setTimeout(resolve, 20));
    call.cancel();
    await expect(call.status).rejects.toMatchObject({ reason: 'CANCELLED' });
    await expect.poll(() => seen).toMatchObject({ reason: 'CANCELLED' });
  });

  it('says when nothing listens, and that no reply had begun', async () => {
    const server = await serve(echo);
    const pool = poolTo(server);
    await server.close(0);
    const call = openWireCall(pool, { path });
    await expect(call.status).rejects.toMatchObject({ reason: 'BALANCER_UNREACHABLE' });
    expect(call.hasBegun).toBe(false);
    expect(call.isLost).toBe(true);
  });

  it('says when the connection breaks in the middle of a reply', async () => {
    const server = await serve(async (call) => {
      await call.writer.message(header);
      await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
    });
    const pool = poolTo(server);
    const call = openWireCall(pool, { path });
    await call.reader.message();
    const reading = expect(call.reader.message()).rejects.toMatchObject({ reason: 'REPLICA_LOST' });
    await server.close(0);
    await reading;
    await expect(call.status).rejects.toMatchObject({ reason: 'REPLICA_LOST' });
    expect(call.hasBegun).toBe(true);
    expect(call.isLost).toBe(true);
  });
});
