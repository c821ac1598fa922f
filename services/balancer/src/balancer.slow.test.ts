import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { BalancerService, ReplicaState } from '@imagemesh/api';
import { createGrpcClient, createSessionPool, type GrpcClient, type SessionPool } from '@imagemesh/rpc';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createProcesses } from './testing/processes.ts';
import { callThrough, until } from './testing/small-mesh.ts';

const processes = createProcesses();
let address: string;
let balancer: ChildProcess;
let pool: SessionPool;
let client: GrpcClient<typeof BalancerService>;

const startReplica = (id: string, workMs = 20) => processes.replica(address, id, workMs);

beforeEach(async () => {
  ({ address, child: balancer } = await processes.balancer());
  pool = createSessionPool(address);
  client = createGrpcClient(BalancerService, address);
});

afterEach(async () => {
  client.close();
  await pool.close();
  await processes.stop();
});

describe('a balancer and its replicas as processes', () => {
  it('fails no call when replicas are killed -9 under load, one after another', async () => {
    const victims = [
      { id: 'a', ...(await startReplica('a')) },
      { id: 'b', ...(await startReplica('b')) },
    ];
    await startReplica('c');
    const replicas = new Set<string>();
    let isOver = false;
    let done = 0;
    const body = randomBytes(200_000);
    const load = Array.from({ length: 8 }, async () => {
      while (!isOver) {
        const { bytes, replica } = await callThrough(pool, { body });
        expect(bytes.equals(body)).toBe(true);
        replicas.add(replica);
        done++;
      }
    });
    for (const { child, id } of victims) {
      await until(() => replicas.has(id));
      child.kill('SIGKILL');
    }
    const enough = done + 20;
    await until(() => done >= enough);
    isOver = true;
    await Promise.all(load);
    expect([...replicas].sort()).toEqual(['a', 'b', 'c']);
    const { replicas: listed } = await client.listReplicas({});
    expect(listed.map(({ replicaId, state }) => [replicaId, state])).toEqual([
      ['a', ReplicaState.DEAD],
      ['b', ReplicaState.DEAD],
      ['c', ReplicaState.READY],
    ]);
  });

  it('takes nobody for dead because it was stopped itself', async () => {
    await startReplica('a');
    await callThrough(pool);
    const running = Promise.all(Array.from({ length: 4 }, () => callThrough(pool, { deadlineMs: 20_000 })));
    balancer.kill('SIGSTOP');
    await sleep(4000);
    balancer.kill('SIGCONT');
    await running;
    for (let look = 0; look < 10; look++) {
      const { replicas } = await client.listReplicas({});
      expect(replicas.map(({ state }) => state)).toEqual([ReplicaState.READY]);
      await sleep(50);
    }
  });

  it('finds a stopped replica silent, and runs its calls elsewhere', async () => {
    const a = await startReplica('a', 100);
    await startReplica('b', 100);
    const calls = Promise.all(Array.from({ length: 12 }, () => callThrough(pool, { deadlineMs: 20_000 })));
    await sleep(150);
    a.child.kill('SIGSTOP');
    await calls;
    await until(async () => (await client.listReplicas({})).replicas[0]?.state === ReplicaState.DEAD);
  });

  it('finishes what it has on SIGTERM and exits 0', async () => {
    await startReplica('a', 500);
    const running = Promise.all([callThrough(pool), callThrough(pool)]);
    await sleep(200);
    const exited = once(balancer, 'exit');
    balancer.kill('SIGTERM');
    await running;
    expect(await exited).toEqual([0, null]);
  });
});
