/** Pools of connections: cancels, limits, loss. */
import { createServer as createTcpServer, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { ResetBudget } from './reset-budget.ts';
import { startRpcServer } from './server.ts';
import { createSessionPool, type SessionPool, type SessionPoolOptions } from './sessions.ts';
import type { ServerWireCall } from './wire.ts';
import { openWireCall } from './wire-client.ts';
import { wireHandler } from './wire-server.ts';

const path = '/test.Service/Method';
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(handler: (call: ServerWireCall) => Promise<void>, port = 0) {
  const server = await startRpcServer({
    port,
    routes: () => {},
    streams: new Map([[path, wireHandler(handler)]]),
  });
  cleanups.push(() => server.close(0));
  return server;
}

function poolTo(port: number, options: SessionPoolOptions = {}): SessionPool {
  const pool = createSessionPool(`127.0.0.1:${port}`, options);
  cleanups.push(() => pool.close());
  return pool;
}

/** Answers each message with itself until the caller half-closes. */
async function pingPong(call: ServerWireCall): Promise<void> {
  for (;;) {
    const message = await call.reader.message();
    if (message === undefined) return;
    await call.writer.message(message);
  }
}

async function callOnce(pool: SessionPool): Promise<void> {
  const call = openWireCall(pool, { path });
  await call.writer.message(Buffer.from('ping'));
  call.end();
  await call.reader.message();
  await call.status;
}

describe('a session pool', () => {
  it('survives 2,000 cancels without failing a call that runs beside them', async () => {
    const server = await serve(pingPong);
    const pool = poolTo(server.port);
    const long = openWireCall(pool, { path });
    let lost = 0;
    for (let round = 0; round < 100; round++) {
      const calls = Array.from({ length: 20 }, () => openWireCall(pool, { path }));
      await Promise.all(
        calls.map(async (call) => {
          await call.writer.message(Buffer.from('ping'));
          await call.reader.message();
          call.cancel();
          await call.status.catch(() => {});
          if (call.isLost) lost++;
        }),
      );
      await long.writer.message(Buffer.from(`${round}`));
      expect(Buffer.from((await long.reader.message()) ?? []).toString()).toBe(`${round}`);
      await callOnce(pool);
    }
    long.end();
    await long.status;
    expect(lost).toBe(0);
    await expect.poll(() => server.sessions.sessions).toBe(1);
  });

  it('takes a cancel before its connection is up', async () => {
    const server = await serve(pingPong);
    const pool = poolTo(server.port);
    const call = openWireCall(pool, { path });
    call.cancel();
    await expect(call.status).rejects.toMatchObject({ reason: 'CANCELLED' });
    await callOnce(pool);
    await expect.poll(() => pool.streams).toBe(0);
  });

  it('opens another connection when one is full, up to its cap', async () => {
    const server = await serve(pingPong);
    const pool = poolTo(server.port, { maxStreams: 2, maxSessions: 2 });
    await pool.connect();
    const calls = Array.from({ length: 4 }, () => openWireCall(pool, { path }));
    expect(() => openWireCall(pool, { path })).toThrow(expect.objectContaining({ reason: 'OVERLOADED' }));
    for (const call of calls) await call.writer.message(Buffer.from('ping'));
    await expect.poll(() => server.sessions.sessions).toBe(2);
    for (const call of calls) {
      call.end();
      await call.status;
      // Its reply is never read.
      call.cancel();
    }
    await expect.poll(() => pool.streams).toBe(0);
    await callOnce(pool);
  });

  it('says when its last connection broke, and connects again by itself', async () => {
    const server = await serve(pingPong);
    const pool = poolTo(server.port);
    let downs = 0;
    pool.onDown(() => downs++);
    await callOnce(pool);
    await server.close(0);
    await expect.poll(() => pool.isConnected).toBe(false);
    const call = openWireCall(pool, { path });
    await expect(call.status).rejects.toMatchObject({ reason: 'BALANCER_UNREACHABLE' });
    await serve(pingPong, server.port);
    await callOnce(pool);
    expect(downs).toBe(1);
  });

  it('finds out by its pings that the other end is stuck', async () => {
    const server = await serve(pingPong);
    const sockets: Socket[] = [];
    const proxy = createTcpServer((socket) => {
      const inner = new Socket();
      inner.connect(server.port, '127.0.0.1');
      socket.pipe(inner).pipe(socket);
      socket.on('error', () => {});
      inner.on('error', () => {});
      sockets.push(socket, inner);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => {
      for (const socket of sockets) socket.destroy();
      proxy.close();
    });
    const address = proxy.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const pool = poolTo(port, { keepalive: { intervalMs: 50, timeoutMs: 100 } });
    let downs = 0;
    pool.onDown(() => downs++);
    await callOnce(pool);
    await sleep(400);
    expect(pool.isConnected).toBe(true);
    const call = openWireCall(pool, { path });
    for (const socket of sockets) {
      socket.unpipe();
      socket.pause();
    }
    await expect(call.status).rejects.toMatchObject({ reason: 'REPLICA_LOST' });
    expect(call.isLost).toBe(true);
    await expect.poll(() => downs).toBe(1);
  });

  it('gives up connecting in time', async () => {
    // TEST-NET: packets to it go nowhere.
    const pool = createSessionPool('192.0.2.1:9', { connectTimeoutMs: 100 });
    cleanups.push(() => pool.close());
    await expect(pool.connect()).rejects.toMatchObject({ reason: 'BALANCER_UNREACHABLE' });
  });

  it('lets running calls finish when it is closed, and takes no new ones', async () => {
    const server = await serve(pingPong);
    const pool = poolTo(server.port);
    const call = openWireCall(pool, { path });
    await call.writer.message(Buffer.from('ping'));
    await call.reader.message();
    const closing = pool.close(2000);
    expect(() => openWireCall(pool, { path })).toThrow(
      expect.objectContaining({ reason: 'BALANCER_UNREACHABLE' }),
    );
    call.end();
    await call.status;
    await closing;
  });
});

describe('a server that closes', () => {
  it('lets running calls finish and sends new ones away', async () => {
    const server = await serve(pingPong);
    const pool = poolTo(server.port);
    const call = openWireCall(pool, { path });
    await call.writer.message(Buffer.from('ping'));
    await call.reader.message();
    const closing = server.close(5000);
    await sleep(30);
    const late = openWireCall(pool, { path });
    await expect(late.status).rejects.toMatchObject({ code: 'unavailable' });
    expect(late.hasBegun).toBe(false);
    await call.writer.message(Buffer.from('pong'));
    expect(Buffer.from((await call.reader.message()) ?? []).toString()).toBe('pong');
    call.end();
    await call.status;
    await closing;
  });
});

describe('a reset budget', () => {
  it('is spent after its burst and comes back with time', () => {
    const budget = new ResetBudget({ burst: 3, perSecond: 10 }, 0);
    expect([budget.spend(0), budget.spend(0), budget.spend(0)]).toEqual([true, true, false]);
    expect(budget.spend(500)).toBe(true);
  });
});
