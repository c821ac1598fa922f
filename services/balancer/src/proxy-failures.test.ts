import { createHash, randomBytes } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { MeshError, type ServerWireCall } from '@imagemesh/rpc';
import { afterEach, describe, expect, it } from 'vitest';
import { type SmallMesh, startSmallMesh, until } from './testing/small-mesh.ts';
import { echo } from './testing/small-replica.ts';

let mesh: SmallMesh;
afterEach(() => mesh.close());

/** Answers so many bytes, and never ends. */
const beginReply = async (call: ServerWireCall, bytes: number) => {
  await call.writer.message(Buffer.from('header'));
  await call.writer.chunks(randomBytes(bytes));
  await sleep(5000, undefined, { signal: call.signal });
};

describe('failures', () => {
  it('runs a call elsewhere when its replica is killed, whatever of the body was sent', async () => {
    mesh = await startSmallMesh();
    const stuck = async (call: ServerWireCall) => {
      await call.reader.message();
      await new Promise<void>((resolve) => call.signal.addEventListener('abort', () => resolve()));
    };
    const a = await mesh.replica({ id: 'a', serve: stuck });
    const bodies = [randomBytes(1000), randomBytes(8_000_000)];
    const calls = bodies.map((body) => mesh.call({ body }));
    await until(() => a.begun === 1);
    const b = await mesh.replica({ id: 'b' });
    await until(() => b.begun === 1);
    a.kill();
    const results = await Promise.all(calls);
    expect(results.map(({ replica }) => replica)).toEqual(['b', 'b']);
    expect(results.map(({ bytes }) => digest(bytes))).toEqual(bodies.map(digest));
  });

  it('does not run a call twice whose method is not idempotent', async () => {
    mesh = await startSmallMesh();
    const a = await mesh.replica({
      id: 'a',
      idempotent: false,
      serve: (call) => sleep(5000, undefined, { signal: call.signal }),
    });
    const call = mesh.call();
    await until(() => a.begun === 1);
    const b = await mesh.replica({ id: 'b' });
    a.kill();
    await expect(call).rejects.toMatchObject({ reason: 'REPLICA_LOST' });
    expect(b.begun).toBe(0);
  });

  it('runs a call elsewhere that lost its replica in the middle of the reply', async () => {
    mesh = await startSmallMesh();
    const a = await mesh.replica({ id: 'a', serve: (call) => beginReply(call, 3_000_000) });
    const call = mesh.call();
    await until(() => a.begun === 1);
    await sleep(50);
    await mesh.replica({ id: 'b' });
    a.kill();
    expect(await call).toMatchObject({ replica: 'b', bytes: { length: 1000 } });
  });

  it('does not run a call twice once its reply is too long to hold, and ends it with a status', async () => {
    mesh = await startSmallMesh();
    const a = await mesh.replica({ id: 'a', serve: (call) => beginReply(call, 5_000_000) });
    const call = mesh.call();
    await until(() => a.begun === 1);
    await sleep(50);
    const b = await mesh.replica({ id: 'b' });
    a.kill();
    await expect(call).rejects.toMatchObject({ reason: 'REPLICA_LOST', code: 'unavailable' });
    expect(b.begun).toBe(0);
  });

  it('finds a replica that hangs dead, and runs its calls elsewhere', async () => {
    mesh = await startSmallMesh({ suspectAfterMs: 200, deadAfterMs: 500 });
    const a = await mesh.replica({
      id: 'a',
      serve: (call) => sleep(5000, undefined, { signal: call.signal }),
    });
    const call = mesh.call();
    await until(() => a.begun === 1);
    await mesh.replica({ id: 'b' });
    a.hang();
    expect((await call).replica).toBe('b');
  });

  it('queues a call again when a replica says BUSY, at no penalty and without spinning', async () => {
    mesh = await startSmallMesh();
    // It announces more slots than it has, as when another balancer uses the rest.
    const a = await mesh.replica({
      id: 'a',
      slots: 4,
      ownSlots: 1,
      serve: async (call) => {
        await sleep(30);
        await echo(call);
      },
    });
    await mesh.call();
    await Promise.all(Array.from({ length: 12 }, () => mesh.call({ body: randomBytes(100_000) })));
    expect(a.begun).toBe(13);
    expect(a.peak).toBe(1);
    expect(a.busyAnswers).toBeGreaterThan(0);
    expect(a.busyAnswers).toBeLessThan(12 * 30);
  });

  it('says NO_REPLICA after the grace, and waits that long for one to come', async () => {
    mesh = await startSmallMesh({ noReplicaGraceMs: 400 });
    await mesh.replica({ id: 'a', operations: ['resize'] });
    const atMs = performance.now();
    await expect(mesh.call({ metadata: { 'im-op': 'rotate' } })).rejects.toMatchObject({
      reason: 'NO_REPLICA',
      message: expect.stringContaining('rotate'),
    });
    expect(performance.now() - atMs).toBeGreaterThan(350);
    const late = mesh.call({ metadata: { 'im-op': 'crop' } });
    await sleep(150);
    await mesh.replica({ id: 'b', operations: ['crop'] });
    expect((await late).replica).toBe('b');
  });

  it('does not send a body again that was too long to hold, and says so', async () => {
    mesh = await startSmallMesh({ maxHeldBytesPerCall: 1_000_000 });
    const a = await mesh.replica({
      id: 'a',
      serve: async (call) => {
        let bytes = 0;
        await call.reader.message();
        await call.reader.eachChunk((chunk) => {
          bytes += chunk.byteLength;
          return bytes > 3_000_000 ? sleep(5000, undefined, { signal: call.signal }) : undefined;
        }, 1e9);
      },
    });
    const call = mesh.call({ body: randomBytes(8_000_000) });
    await until(() => a.begun === 1);
    await sleep(200);
    const b = await mesh.replica({ id: 'b' });
    a.kill();
    await expect(call).rejects.toMatchObject({ reason: 'REPLICA_LOST' });
    expect(b.begun).toBe(0);
  });

  it('delivers an early error to a caller that is still sending 20 MB', async () => {
    mesh = await startSmallMesh();
    await mesh.replica({
      id: 'a',
      serve: async (call) => {
        await call.reader.message();
        throw new MeshError('TOO_MANY_PIXELS', 'too many pixels');
      },
    });
    const body = randomBytes(20_000_000);
    for (let round = 0; round < 20; round++) {
      await expect(mesh.call({ body })).rejects.toMatchObject({ reason: 'TOO_MANY_PIXELS' });
    }
  });

  it('gives up after three replicas', async () => {
    mesh = await startSmallMesh();
    const serve = (call: ServerWireCall) => sleep(5000, undefined, { signal: call.signal });
    const replicas = await Promise.all(['a', 'b', 'c', 'd'].map((id) => mesh.replica({ id, serve })));
    const call = mesh.call();
    const outcome = expect(call).rejects.toMatchObject({
      reason: 'POISONED',
      metadata: { attempts: '3' },
    });
    const killed = new Set<string>();
    for (let round = 0; round < 3; round++) {
      await until(() => replicas.some(({ id, begun }) => begun > 0 && !killed.has(id)));
      for (const replica of replicas) {
        if (replica.begun === 0 || killed.has(replica.id)) continue;
        killed.add(replica.id);
        replica.kill();
      }
    }
    await outcome;
    expect(killed.size).toBe(3);
  });

  it('counts a replica whose connections break again and again as one that died', async () => {
    mesh = await startSmallMesh();
    const a = await mesh.replica({
      id: 'a',
      serve: async (call, replica) => {
        if (replica.begun > 5) return echo(call);
        await call.reader.message();
        replica.cut();
      },
    });
    const { replica } = await mesh.call();
    expect([replica, a.begun]).toEqual(['a', 6]);
  });

  it('stops the work of a caller that leaves, waiting or running', async () => {
    mesh = await startSmallMesh();
    const a = await mesh.replica({
      id: 'a',
      serve: async (call) => {
        await sleep(10_000, undefined, { signal: call.signal });
      },
    });
    const giveUp = [new AbortController(), new AbortController()];
    const calls = giveUp.map(({ signal }) => mesh.call({ signal }).catch((error: unknown) => error));
    await until(() => a.running === 1);
    giveUp[1]?.abort();
    await sleep(50);
    giveUp[0]?.abort();
    await until(() => a.running === 0);
    for (const error of await Promise.all(calls)) expect(error).toMatchObject({ reason: 'CANCELLED' });
    expect(a.begun).toBe(1);
  });

  it('ends a call at its deadline in the queue, and while it runs', async () => {
    mesh = await startSmallMesh();
    const a = await mesh.replica({ id: 'a', serve: () => sleep(3000) });
    const running = mesh.call({ deadlineMs: 300 });
    await until(() => a.begun === 1);
    const waiting = mesh.call({ deadlineMs: 100 });
    await expect(waiting).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
    await expect(running).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
    expect(a.begun).toBe(1);
  });

  it('keeps its connections through 2,000 cancelled calls', async () => {
    mesh = await startSmallMesh();
    const a = await mesh.replica({
      id: 'a',
      slots: 64,
      serve: async (call) => {
        const spec = await call.reader.message();
        if (spec !== undefined && call.headers['im-class'] === 'critical') return echoSpec(call, spec);
        await sleep(10_000, undefined, { signal: call.signal }).catch(() => {});
      },
    });
    await mesh.call({ metadata: { 'im-class': 'critical' } });
    for (let round = 0; round < 20; round++) {
      const giveUp = new AbortController();
      setMaxListeners(100, giveUp.signal);
      const calls = Array.from({ length: 100 }, () => mesh.call({ signal: giveUp.signal }));
      const settled = Promise.allSettled(calls);
      await sleep(20);
      giveUp.abort();
      for (const result of await settled) expect(result).toMatchObject({ reason: { reason: 'CANCELLED' } });
      expect((await mesh.call({ metadata: { 'im-class': 'critical' } })).replica).toBe('a');
    }
    await until(() => a.running === 0);
    expect(a.begun).toBeGreaterThan(20 * 50);
  }, 30_000);
});

async function echoSpec(call: ServerWireCall, spec: Uint8Array): Promise<void> {
  await call.reader.eachChunk(() => {}, 1e9);
  await call.writer.message(spec);
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
