import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { IM_EXEC_MS, MeshError, openWireCall, type ServerWireCall } from '@imagemesh/rpc';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type SmallMesh, startSmallMesh, until } from './testing/small-mesh.ts';
import { echo, RESIZE } from './testing/small-replica.ts';

let mesh: SmallMesh;
afterEach(() => mesh.close());

const gate = () => {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
};

describe('the way through', () => {
  beforeEach(async () => {
    mesh = await startSmallMesh();
  });

  it('passes bodies of 20 MB both ways unchanged, four at once', async () => {
    await mesh.replica({ id: 'a', slots: 4 });
    await mesh.call();
    const bodies = Array.from({ length: 8 }, () =>
      randomBytes(20_000_000 + Math.floor(Math.random() * 1000)),
    );
    const results = await Promise.all(bodies.map((body) => mesh.call({ body, deadlineMs: 30_000 })));
    for (const [index, { bytes }] of results.entries()) {
      expect(digest(bytes)).toBe(digest(bodies[index] ?? Buffer.alloc(0)));
    }
  }, 60_000);

  it('passes metadata on, with less time left, a child span and the same request id', async () => {
    let seen: Record<string, unknown> = {};
    await mesh.replica({
      id: 'a',
      serve: async (call) => {
        seen = call.headers;
        await sleep(1);
        await echo(call);
      },
    });
    const traceparent = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`;
    const { trailers } = await mesh.call({
      metadata: { 'x-request-id': 'request-1', traceparent, 'im-op': 'resize', 'x-other': 'kept' },
      deadlineMs: 5000,
    });
    expect(seen).toMatchObject({
      'x-request-id': 'request-1',
      'im-op': 'resize',
      'x-other': 'kept',
      te: 'trailers',
    });
    expect(seen.traceparent).toMatch(
      new RegExp(`^00-${'ab'.repeat(16)}-(?!${'cd'.repeat(8)})[0-9a-f]{16}-01$`),
    );
    expect(Number.parseInt(String(seen['grpc-timeout']), 10)).toBeLessThanOrEqual(5000);
    expect(trailers).toMatchObject({ 'grpc-status': '0', 'im-replica': 'a' });
  });

  it("passes a replica's error on with its details", async () => {
    await mesh.replica({
      id: 'a',
      serve: async () => {
        throw new MeshError('OPERATION_OUT_OF_BOUNDS', 'crop reaches outside', {
          violations: [{ field: 'operations[0].crop.left', description: 'too far' }],
        });
      },
    });
    await expect(mesh.call({ body: randomBytes(3_000_000) })).rejects.toMatchObject({
      reason: 'OPERATION_OUT_OF_BOUNDS',
      violations: [{ field: 'operations[0].crop.left' }],
    });
  });

  it('shares work between replicas, and binds late', async () => {
    const serve = async (call: ServerWireCall) => {
      await sleep(20);
      await echo(call);
    };
    const a = await mesh.replica({ id: 'a', serve });
    const running = Array.from({ length: 20 }, () => mesh.call());
    await until(() => a.begun >= 2);
    const b = await mesh.replica({ id: 'b', serve });
    await Promise.all(running);
    expect(a.begun + b.begun).toBe(20);
    expect(b.begun).toBeGreaterThan(5);
    expect(a.peak).toBe(1);
    expect(b.peak).toBe(1);
    expect(a.busyAnswers + b.busyAnswers).toBe(0);
  });

  it('keeps no slot for a reader once the replica says that its work is done', async () => {
    await mesh.replica({
      id: 'a',
      slots: 1,
      ownSlots: 2,
      serve: async (call) => {
        const body = Buffer.alloc(call.headers['im-op'] === 'large' ? 40_000_000 : 1000);
        call.responseHeaders[IM_EXEC_MS] = '1.00';
        await call.writer.message(Buffer.from('spec'));
        await call.writer.chunks(body);
      },
      operations: ['large', 'small'],
    });
    const unread = openWireCall(mesh.pool, { path: RESIZE, metadata: { 'im-op': 'large' } });
    unread.end();
    await unread.response;
    await mesh.call({ metadata: { 'im-op': 'small' } });
    unread.cancel();
    await expect(unread.status).rejects.toMatchObject({ reason: 'CANCELLED' });
  });

  it('gives a new replica one call at a time until one has succeeded', async () => {
    const first = gate();
    const a = await mesh.replica({
      id: 'a',
      slots: 4,
      serve: async (call) => {
        await first.opened;
        await echo(call);
      },
    });
    const running = Array.from({ length: 8 }, () => mesh.call());
    await sleep(100);
    expect(a.running).toBe(1);
    first.open();
    await Promise.all(running);
    expect(a.peak).toBeGreaterThan(1);
    expect(a.peak).toBeLessThanOrEqual(4);
  });

  it('sends a call only to a replica that knows its operations and shares its store', async () => {
    const a = await mesh.replica({ id: 'a', operations: ['resize'], storeId: 's1' });
    const b = await mesh.replica({ id: 'b', operations: ['resize', 'rotate'], storeId: 's2' });
    const rotations = Array.from({ length: 5 }, () => mesh.call({ metadata: { 'im-op': 'resize,rotate' } }));
    const stored = Array.from({ length: 5 }, () => mesh.call({ metadata: { 'im-store': 's1' } }));
    await Promise.all([...rotations, ...stored]);
    expect(a.begun).toBe(5);
    expect(b.begun).toBe(5);
  });

  it('says so at once where only replicas of another store are there, and waits where none is', async () => {
    await mesh.replica({ id: 'a', operations: ['resize'], storeId: 's1' });
    await mesh.replica({ id: 'b', operations: ['resize'] });
    const call = (operation: string) =>
      mesh.call({ metadata: { 'im-store': 's2', 'im-op': operation }, deadlineMs: 20_000 });
    await expect(call('resize')).rejects.toMatchObject({
      reason: 'STORE_NOT_SHARED',
      metadata: { worker: 'resize', store: 's2' },
    });
    await expect(call('rotate')).rejects.toMatchObject({ reason: 'NO_REPLICA' });
  });
});

describe('flow', () => {
  it('holds a sender back, and bounded memory, while its replica does not read', async () => {
    mesh = await startSmallMesh({ maxHeldBytesPerCall: 1_000_000 });
    const read = gate();
    await mesh.replica({
      id: 'a',
      serve: async (call) => {
        await read.opened;
        const spec = await call.reader.message();
        let bytes = 0;
        await call.reader.eachChunk((chunk) => {
          bytes += chunk.byteLength;
        }, 1e9);
        await call.writer.message(spec ?? new Uint8Array());
        await call.writer.chunks(Buffer.from(String(bytes)));
      },
    });
    const call = openWireCall(mesh.pool, { path: '/imagemesh.v1.ResizeService/Resize' });
    let sent = 0;
    const sending = (async () => {
      await call.writer.message(Buffer.from('spec'));
      for (let at = 0; at < 60; at++) {
        await call.writer.chunks(Buffer.alloc(1_000_000));
        sent++;
      }
      call.end();
    })();
    await sleep(500);
    // The windows of two hops and what each keeps before it waits.
    expect(sent).toBeLessThan(12);
    read.open();
    await sending;
    await call.reader.message();
    const chunks: Buffer[] = [];
    await call.reader.eachChunk((chunk) => {
      chunks.push(chunk);
    }, 1e9);
    expect(Buffer.concat(chunks).toString()).toBe('60000000');
  });

  it('lets no slow reader of a reply hold up other calls', async () => {
    mesh = await startSmallMesh();
    const big = randomBytes(20_000_000);
    await mesh.replica({
      id: 'a',
      slots: 8,
      serve: async (call) => {
        const spec = await call.reader.message();
        await call.reader.eachChunk(() => {}, 1e9);
        await call.writer.message(spec ?? new Uint8Array());
        await call.writer.chunks(call.headers['x-big'] === undefined ? Buffer.from('small') : big);
      },
    });
    await mesh.call();
    const slow = Array.from({ length: 4 }, () => {
      const call = openWireCall(mesh.pool, {
        path: '/imagemesh.v1.ResizeService/Resize',
        metadata: { 'x-big': '1' },
      });
      void call.writer.message(Buffer.from('spec')).then(() => call.end());
      return call;
    });
    await Promise.all(slow.map((call) => call.reader.message()));
    const startMs = performance.now();
    for (let at = 0; at < 50; at++) await mesh.call();
    expect(performance.now() - startMs).toBeLessThan(2000);
    for (const call of slow) {
      let bytes = 0;
      await call.reader.eachChunk((chunk) => {
        bytes += chunk.byteLength;
      }, 1e9);
      expect(bytes).toBe(20_000_000);
    }
  });
});

describe('the end', () => {
  it('finishes running calls and refuses new ones', async () => {
    mesh = await startSmallMesh();
    const release = gate();
    const a = await mesh.replica({
      id: 'a',
      serve: async (call) => {
        await release.opened;
        await echo(call);
      },
    });
    const running = mesh.call();
    await until(() => a.begun === 1);
    const closing = mesh.balancer.close(3000);
    await sleep(50);
    await expect(mesh.call()).rejects.toMatchObject({ code: 'unavailable' });
    release.open();
    expect((await running).replica).toBe('a');
    await closing;
  });

  it('tells calls that outlast the grace', async () => {
    mesh = await startSmallMesh();
    const a = await mesh.replica({ id: 'a', serve: () => sleep(3000) });
    const running = mesh.call();
    const outcome = expect(running).rejects.toMatchObject({ reason: 'SHUTTING_DOWN' });
    await until(() => a.begun === 1);
    await mesh.balancer.close(200);
    await outcome;
  });
});

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
