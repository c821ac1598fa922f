/** What the byte streams bound and refuse, over real sockets. */
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { chunkHead, frameMessage, MAX_CHUNK_MESSAGE_BYTES } from './frames.ts';
import { errorFromTrailers } from './grpc-status.ts';
import { STREAM_WINDOW_BYTES } from './http2-options.ts';
import { type RpcServer, startRpcServer } from './server.ts';
import { createSessionPool, type SessionPool } from './sessions.ts';
import type { ServerWireCall } from './wire.ts';
import { openWireCall } from './wire-client.ts';
import { wireHandler } from './wire-server.ts';

const path = '/test.Service/Method';
const megabyte = 1024 * 1024;
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(handler: (call: ServerWireCall) => Promise<void>): Promise<RpcServer> {
  const server = await startRpcServer({ routes: () => {}, streams: new Map([[path, wireHandler(handler)]]) });
  cleanups.push(() => server.close(0));
  return server;
}

function poolTo(server: RpcServer): SessionPool {
  const pool = createSessionPool(`127.0.0.1:${server.port}`);
  cleanups.push(() => pool.close());
  return pool;
}

/** Reads a first message and then a body of 100 bytes. */
async function readHundred(call: ServerWireCall): Promise<void> {
  await call.reader.message();
  await call.reader.chunksInto(Buffer.alloc(100));
}

/** Sends those bytes as the whole request body; the error in the answer. */
async function post(port: number, body: Buffer, headers: Record<string, string> = {}) {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  cleanups.push(() => session.destroy());
  const base = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
  const stream = session.request({ ...base, ...headers });
  let end: Record<string, unknown> = {};
  stream.on('response', (got) => {
    end = got;
  });
  stream.on('trailers', (got) => {
    end = got;
  });
  stream.on('error', () => {});
  stream.resume();
  stream.end(body);
  await new Promise((resolve) => stream.on('close', resolve));
  // The parse boundary of this test.
  return { status: end[':status'], error: errorFromTrailers(end as Record<string, string>) };
}

const first = frameMessage(Buffer.from('spec'));

function chunk(size: number): Buffer {
  return Buffer.concat([chunkHead(size), Buffer.alloc(size)]);
}

function prefix(flag: number, length: number): Buffer {
  const bytes = Buffer.from([flag, 0, 0, 0, 0]);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

describe('a hostile request', () => {
  it.each<[string, Buffer, string]>([
    ['too few bytes', Buffer.concat([first, chunk(99)]), 'SIZE_MISMATCH'],
    ['too many bytes', Buffer.concat([first, chunk(99), chunk(2)]), 'SIZE_MISMATCH'],
    ['no bytes', first, 'SIZE_MISMATCH'],
    ['a truncated chunk', Buffer.concat([first, chunk(100).subarray(0, 50)]), 'INVALID_REQUEST'],
    ['a truncated first message', first.subarray(0, 7), 'INVALID_REQUEST'],
    ['an oversized first message', prefix(0, 4 * megabyte + 1), 'BODY_TOO_LARGE'],
    ['an oversized chunk', Buffer.concat([first, prefix(0, MAX_CHUNK_MESSAGE_BYTES + 1)]), 'BODY_TOO_LARGE'],
    ['a compressed message', prefix(1, 4), 'COMPRESSION_UNSUPPORTED'],
    [
      'the first message twice',
      Buffer.concat([first, frameMessage(Buffer.from([0x0a, 0]))]),
      'INVALID_REQUEST',
    ],
    ['something else altogether', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'INVALID_REQUEST'],
  ])('gets a reason, and the server goes on: %s', async (_, body, reason) => {
    const server = await serve(readHundred);
    expect((await post(server.port, body)).error).toMatchObject({ reason });
    expect(
      (await post(server.port, Buffer.concat([first, chunk(60), chunk(0), chunk(40)]))).error,
    ).toBeUndefined();
  });

  it('that is no gRPC gets an HTTP error', async () => {
    const server = await serve(readHundred);
    expect((await post(server.port, first, { 'content-type': 'text/plain' })).status).toBe(415);
    expect((await post(server.port, first, { 'content-type': 'application/grpc-web' })).status).toBe(415);
    expect((await post(server.port, Buffer.alloc(0), { ':method': 'PUT' })).status).toBe(405);
  });

  it('that is no HTTP/2 at all does no harm', async () => {
    const server = await serve(readHundred);
    for (const garbage of [
      'GET / HTTP/1.1\r\nhost: x\r\n\r\n',
      '\0'.repeat(5000),
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxx',
    ]) {
      const socket = connectTcp(server.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write(garbage);
      await sleep(20);
      socket.destroy();
    }
    expect((await post(server.port, Buffer.concat([first, chunk(100)]))).error).toBeUndefined();
  });

  it('cannot smuggle bytes into trailers', async () => {
    const server = await serve(async (call) => {
      call.trailers['im-replica'] = 'a\r\nb: cé';
      await call.reader.message();
      await call.writer.message(Buffer.from('x'));
    });
    const call = openWireCall(poolTo(server), { path });
    await call.writer.message(Buffer.from('spec'));
    call.end();
    await call.reader.message();
    await call.reader.message();
    expect((await call.status).trailers['im-replica']).toBe('a??b: c?');
  });
});

describe('a slow reader', () => {
  it('of a reply holds the sender back after a bounded number of bytes', async () => {
    let accepted = 0;
    const server = await serve(async (call) => {
      await call.reader.message();
      const part = Buffer.alloc(megabyte);
      for (let i = 0; i < 64; i++) {
        await call.writer.chunks(part, 64 * 1024);
        accepted += part.byteLength;
      }
    });
    const call = openWireCall(poolTo(server), { path });
    await call.writer.message(Buffer.from('spec'));
    call.end();
    await call.response;
    await sleep(300);
    const acceptedUnread = accepted;
    expect(acceptedUnread).toBeLessThan(2 * STREAM_WINDOW_BYTES + 2 * megabyte);
    let read = 0;
    await call.reader.eachChunk(async (bytes) => {
      read += bytes.byteLength;
      if (read % 50 === 0) await sleep(1);
    }, 64 * megabyte);
    await call.status;
    expect(read).toBe(64 * megabyte);
  });

  it('of a request holds the sender back, and another call on the same connection goes on', async () => {
    let go = () => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const server = await serve(async (call) => {
      const name = Buffer.from((await call.reader.message()) ?? []).toString();
      if (name === 'slow') await gate;
      await call.reader.eachChunk(() => {}, 64 * megabyte);
    });
    const pool = poolTo(server);
    const slow = openWireCall(pool, { path });
    await slow.writer.message(Buffer.from('slow'));
    let accepted = 0;
    const part = Buffer.alloc(megabyte);
    const sending = (async () => {
      for (let i = 0; i < 32; i++) {
        await slow.writer.chunks(part);
        accepted += part.byteLength;
      }
      slow.end();
    })();
    await sleep(200);
    expect(accepted).toBeLessThan(2 * STREAM_WINDOW_BYTES + 2 * megabyte);
    const quick = openWireCall(pool, { path });
    await quick.writer.message(Buffer.from('quick'));
    await quick.writer.chunks(Buffer.alloc(8 * megabyte));
    quick.end();
    await quick.status;
    go();
    await sending;
    await slow.status;
  });

  it('that never reads is let go of soon after its deadline', async () => {
    let reason: unknown;
    const server = await serve(async (call) => {
      call.signal.addEventListener('abort', () => {
        reason = call.signal.reason;
      });
      for (;;) await call.writer.chunks(Buffer.alloc(megabyte));
    });
    const session = connectHttp2(`http://127.0.0.1:${server.port}`);
    cleanups.push(() => session.destroy());
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      'grpc-timeout': '100m',
    });
    stream.on('error', () => {});
    const closed = new Promise((resolve) => stream.on('close', resolve));
    await closed;
    expect(reason).toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
  });
});

describe('eachChunk', () => {
  it('stops as soon as a body is over its limit', async () => {
    let read = 0;
    const server = await serve(async (call) => {
      await call.reader.message();
      await call.reader.eachChunk((bytes) => {
        read += bytes.byteLength;
      }, megabyte);
    });
    const call = openWireCall(poolTo(server), { path });
    const sending = (async () => {
      await call.writer.message(Buffer.from('spec'));
      await call.writer.chunks(Buffer.alloc(50 * megabyte));
    })().catch(() => {});
    await expect(call.status).rejects.toMatchObject({
      reason: 'BODY_TOO_LARGE',
      metadata: { limit: '1048576' },
    });
    await sending;
    expect(read).toBeLessThanOrEqual(megabyte);
  });

  it('passes on what its sink throws', async () => {
    const server = await serve(async (call) => {
      await call.reader.message();
      await call.reader.eachChunk(async () => {
        await sleep(1);
        throw new Error('the disk is full');
      }, megabyte);
    });
    const call = openWireCall(poolTo(server), { path });
    await call.writer.message(Buffer.from('spec'));
    await call.writer.chunks(Buffer.alloc(1000));
    call.end();
    await expect(call.status).rejects.toMatchObject({ reason: 'INTERNAL' });
  });
});

describe('readers that do not read', () => {
  it('stop no other call of the connection, in either direction', async () => {
    const server = await serve(async (call) => {
      const message = await call.reader.message();
      if (String(message) === 'hold') {
        // Neither the request's body nor the reply's is read to the end.
        await Promise.race([
          call.writer.chunks(Buffer.alloc(4 * megabyte)),
          sleep(60_000, undefined, { ref: false }),
        ]);
        return;
      }
      await call.reader.chunksInto(Buffer.alloc(megabyte));
      await call.writer.chunks(Buffer.alloc(megabyte));
    });
    const pool = poolTo(server);
    for (let count = 0; count < 24; count++) {
      const held = openWireCall(pool, { path });
      held.status.catch(() => {});
      cleanups.push(() => held.cancel());
      await held.writer.message(Buffer.from('hold'));
      held.writer.chunks(Buffer.alloc(4 * megabyte)).catch(() => {});
    }
    await sleep(200);
    const call = openWireCall(pool, { path });
    await call.writer.message(Buffer.from('work'));
    await call.writer.chunks(Buffer.alloc(megabyte));
    call.end();
    const bytes = Buffer.alloc(megabyte);
    await call.reader.chunksInto(bytes);
    await call.status;
    expect(bytes.byteLength).toBe(megabyte);
  });
});
