import { setTimeout as sleep } from 'node:timers/promises';
import { BalancerService, ReplicaState, WorkerKind } from '@imagemesh/api';
import { createGrpcClient, type GrpcClient } from '@imagemesh/rpc';
import { afterEach, describe, expect, it } from 'vitest';
import type { Config } from './config.ts';
import { type SmallMesh, startSmallMesh, until } from './testing/small-mesh.ts';
import { echo } from './testing/small-replica.ts';

let mesh: SmallMesh;
let client: GrpcClient<typeof BalancerService>;
afterEach(async () => {
  client.close();
  await mesh.close();
});

async function start(overrides: Partial<Config> = {}) {
  mesh = await startSmallMesh({ balancerId: 'b1', ...overrides });
  client = createGrpcClient(BalancerService, mesh.balancer.address);
}

const stateOf = async (id: string) =>
  (await client.listReplicas({})).replicas.find((r) => r.replicaId === id)?.state;

describe('ListReplicas', () => {
  it('says of each replica who it is and how it does', async () => {
    await start();
    const a = await mesh.replica({ id: 'a', slots: 3, storeId: 's' });
    await mesh.replica({ id: 'b', slots: 1 });
    await mesh.replica({ id: 'f', worker: WorkerKind.FILTER });
    for (let at = 0; at < 20; at++) await mesh.call();
    await until(
      async () => (await stateOf('a')) === ReplicaState.READY && (await stateOf('b')) === ReplicaState.READY,
    );
    await sleep(150);
    const { replicas, queues } = await client.listReplicas({ worker: WorkerKind.RESIZE });
    expect(replicas.map(({ replicaId }) => replicaId)).toEqual(['a', 'b']);
    expect(replicas[0]).toMatchObject({
      address: a.address,
      worker: WorkerKind.RESIZE,
      hostId: 'test-host',
      build: 'test',
      slots: 3,
      inFlight: 0,
      weight: expect.closeTo(0.75),
      speed: 1,
      successRate: 1,
      failed: 0n,
      lastError: '',
      operations: ['resize', 'crop'],
      balancerIds: ['b1'],
      cpuCores: 0.5,
      residentBytes: 1000n,
    });
    expect(replicas[1]?.weight).toBeCloseTo(0.25);
    expect(replicas.reduce((sum, { completed }) => sum + Number(completed), 0)).toBe(20);
    expect(replicas[0]?.p50Ms).toBeGreaterThan(0);
    expect(replicas[0]?.p99Ms).toBeGreaterThanOrEqual(replicas[0]?.p50Ms ?? 0);
    expect(Number(replicas[0]?.lastReportTime?.seconds)).toBeGreaterThan(Date.now() / 1000 - 5);
    expect(queues).toMatchObject([{ balancerId: 'b1', worker: WorkerKind.RESIZE, queued: 0, inFlight: 0 }]);
    expect((await client.listReplicas({})).replicas).toHaveLength(3);
  });

  it('begins with the speed that a replica says it has', async () => {
    await start();
    await mesh.replica({ id: 'a', calibratedSpeed: 0.25 });
    await mesh.replica({ id: 'b' });
    const { replicas } = await client.listReplicas({});
    expect(replicas.map(({ speed }) => speed)).toEqual([expect.closeTo(0.25), expect.closeTo(0.25)]);
  });

  it('lists a killed replica as dead at once, for a while, with what went wrong', async () => {
    await start({ deadListedMs: 600 });
    const a = await mesh.replica({ id: 'a', serve: () => sleep(5000) });
    const call = mesh.call({ deadlineMs: 1000 }).catch(() => {});
    await until(() => a.begun === 1);
    const killedAtMs = performance.now();
    a.kill();
    await until(async () => (await stateOf('a')) === ReplicaState.DEAD);
    expect(performance.now() - killedAtMs).toBeLessThan(300);
    const [dead] = (await client.listReplicas({})).replicas;
    expect(dead).toMatchObject({ failed: 1n, successRate: 0, weight: 0 });
    expect(dead?.lastError).not.toBe('');
    await until(async () => (await stateOf('a')) === undefined);
    await call;
  });

  it('suspects a silent replica, and takes it back when it reports again', async () => {
    await start({ suspectAfterMs: 200, deadAfterMs: 60_000 });
    const a = await mesh.replica({ id: 'a' });
    await mesh.call();
    expect(await stateOf('a')).toBe(ReplicaState.READY);
    a.isReporting = false;
    await until(async () => (await stateOf('a')) === ReplicaState.SUSPECT);
    const call = mesh.call();
    await sleep(100);
    expect(a.begun).toBe(1);
    a.isReporting = true;
    expect((await call).replica).toBe('a');
  });

  it('gives no work to a replica that says it is not serving', async () => {
    await start();
    const a = await mesh.replica({ id: 'a' });
    const b = await mesh.replica({ id: 'b' });
    a.isServing = false;
    await until(async () => (await stateOf('a')) === ReplicaState.SUSPECT);
    await Promise.all(Array.from({ length: 10 }, () => mesh.call()));
    expect([a.begun, b.begun]).toEqual([0, 10]);
  });
});

describe('Join', () => {
  it('refuses an id that another address holds, and lets the same address in again', async () => {
    await start();
    const a = await mesh.replica({ id: 'a' });
    await expect(mesh.replica({ id: 'a' })).rejects.toMatchObject({
      reason: 'REPLICA_ID_TAKEN',
      message: expect.stringContaining(a.address),
    });
    const again = client.join();
    const hello = { replicaId: 'a', address: a.address, worker: WorkerKind.RESIZE, hostId: 'h', slots: 2 };
    await again.send({ message: { case: 'hello', value: hello } });
    for await (const { message } of again.messages) {
      expect(message).toMatchObject({ case: 'accepted', value: { balancerId: 'b1', reportIntervalMs: 250 } });
      break;
    }
    expect((await client.listReplicas({})).replicas).toMatchObject([{ replicaId: 'a', slots: 2 }]);
  });

  it('refuses a replica that it cannot reach, and says what to look at', async () => {
    await start();
    const call = client.join();
    const hello = {
      replicaId: 'x',
      address: '127.0.0.1:1',
      worker: WorkerKind.RESIZE,
      hostId: 'h',
      slots: 1,
    };
    await call.send({ message: { case: 'hello', value: hello } });
    await expect(call.messages[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      reason: 'REPLICA_LOST',
      message: expect.stringContaining('ADVERTISE_ADDRESS'),
    });
  });

  it('refuses bad hellos and wrong tokens', async () => {
    await start({ joinToken: 'right' });
    await expect(mesh.replica({ id: 'a', joinToken: 'wrong' })).rejects.toMatchObject({
      reason: 'JOIN_REFUSED',
    });
    await expect(mesh.replica({ id: 'bad id', joinToken: 'right' })).rejects.toMatchObject({
      reason: 'INVALID_REQUEST',
      message: expect.stringContaining('replica_id'),
    });
    await expect(mesh.replica({ id: 'a', slots: 0, joinToken: 'right' })).rejects.toMatchObject({
      reason: 'INVALID_REQUEST',
    });
    await mesh.replica({ id: 'a', joinToken: 'right' });
  });

  it('bounds the number of replicas', async () => {
    await start({ maxReplicas: 1 });
    await mesh.replica({ id: 'a' });
    await expect(mesh.replica({ id: 'b' })).rejects.toMatchObject({ reason: 'OVERLOADED' });
  });
});

describe('DrainReplica', () => {
  it('gives it no new work, asks it to leave, and lets it finish', async () => {
    await start();
    const serve = async (call: Parameters<typeof echo>[0]) => {
      await sleep(200);
      await echo(call);
    };
    const a = await mesh.replica({ id: 'a', serve });
    const running = mesh.call({ metadata: { 'im-cost': '200' } });
    await until(() => a.begun === 1);
    const { replica } = await client.drainReplica({ replicaId: 'a', reason: 'maintenance' });
    expect(replica).toMatchObject({ replicaId: 'a', state: ReplicaState.DRAINING, inFlight: 1 });
    await until(() => a.drainReason === 'maintenance');
    const b = await mesh.replica({ id: 'b' });
    await Promise.all(Array.from({ length: 5 }, () => mesh.call()));
    expect((await running).replica).toBe('a');
    expect([a.begun, b.begun]).toEqual([1, 5]);
    await a.leave();
    await until(async () => (await stateOf('a')) === ReplicaState.DEAD);
  });

  it('says which replica there is not', async () => {
    await start();
    await expect(client.drainReplica({ replicaId: 'nobody' })).rejects.toMatchObject({
      reason: 'REPLICA_NOT_FOUND',
      resource: { type: 'replica', name: 'nobody' },
    });
  });
});

describe('WatchReplicas', () => {
  it('sends the whole list at once and then at most every interval, and ends with the balancer', async () => {
    await start();
    await mesh.replica({ id: 'a' });
    const times: number[] = [];
    const watching = (async () => {
      for await (const { replicas } of client.watchReplicas({ minIntervalMs: 200 })) {
        times.push(performance.now());
        expect(replicas.map(({ replicaId }) => replicaId)).toEqual(['a']);
      }
    })();
    await until(() => times.length === 3);
    for (const [at, time] of times.entries())
      if (at > 0) expect(time - (times[at - 1] ?? 0)).toBeGreaterThan(180);
    await mesh.balancer.close(1000);
    await watching;
  });
});
