/** What must fail no call, with a balancer and replicas as processes, under load. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { BalancerService, type Replica, ReplicaState } from '@imagemesh/api';
import { createGrpcClient, createSessionPool, type GrpcClient, type SessionPool } from '@imagemesh/rpc';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createProcesses } from './testing/processes.ts';
import { callThrough, until } from './testing/small-mesh.ts';

const processes = createProcesses();
let address: string;
let pool: SessionPool;
let client: GrpcClient<typeof BalancerService>;

beforeEach(async () => {
  ({ address } = await processes.balancer({ MAX_QUEUED_CALLS: '8000', LOG_LEVEL: 'warn' }));
  pool = createSessionPool(address, { maxSessions: 32 });
  client = createGrpcClient(BalancerService, address);
});

afterEach(async () => {
  client.close();
  await pool.close();
  await processes.stop();
});

const replica = (id: string, workMs = 20, build?: string) => processes.replica(address, id, workMs, build);
const listed = async (): Promise<Readonly<Record<string, Replica>>> => {
  const { replicas } = await client.listReplicas({});
  return Object.fromEntries(replicas.map((each) => [each.replicaId, each]));
};
const queued = async () => {
  const { queues } = await client.listReplicas({});
  return queues.reduce((sum, queue) => sum + queue.queued, 0);
};

interface Load {
  /** Calls answered, by replica. */
  readonly answered: Map<string, number>;
  /** Resolves once each of these has answered ten: what a replica does first may take long. */
  reached(...replicas: readonly string[]): Promise<void>;
  /** Ends it; throws what the first call that failed threw. */
  end(): Promise<number>;
}

/** Eight callers for six slots, each with one call after the other. */
function load(costMs = 20): Load {
  const answered = new Map<string, number>();
  const body = randomBytes(50_000);
  let isOver = false;
  const callers = Array.from({ length: 8 }, async () => {
    while (!isOver) {
      const call = await callThrough(pool, { body, metadata: { 'im-cost': String(costMs) } });
      expect(call.bytes.equals(body)).toBe(true);
      answered.set(call.replica, (answered.get(call.replica) ?? 0) + 1);
    }
  });
  const all = Promise.all(callers);
  all.catch(() => {});
  return {
    answered,
    reached: (...replicas) =>
      until(async () => replicas.every((id) => (answered.get(id) ?? 0) >= 10), 60_000),
    end: async () => {
      isOver = true;
      await all;
      return [...answered.values()].reduce((sum, calls) => sum + calls, 0);
    },
  };
}

describe('no call fails when, under load,', () => {
  it('a replica takes calls and never answers: others do them, and it gets no more', async () => {
    const bad = await replica('bad');
    await replica('b');
    await replica('c');
    const { end, reached } = load();
    await reached('bad', 'b', 'c');
    bad.order({ order: 'hang' });
    await until(async () => /^no answer in \d+ ms/.test((await listed()).bad?.lastError ?? ''));
    await sleep(1500);
    const calls = await end();
    expect(Number((await listed()).bad?.failed)).toBeLessThan(Math.max(10, calls / 20));
  });

  it('a replica answers errors in 1 ms: it draws no traffic', async () => {
    const bad = await replica('bad');
    await replica('b');
    await replica('c');
    const { end, reached } = load();
    await reached('bad', 'b', 'c');
    bad.order({ order: 'fail' });
    await until(async () => (await listed()).bad?.state === ReplicaState.EJECTED);
    await sleep(1000);
    const calls = await end();
    expect(Number((await listed()).bad?.failed)).toBeLessThan(Math.max(10, calls / 20));
  });

  it('a replica becomes ten times slower: it gets little, and its speed shows', async () => {
    const slow = await replica('slow');
    await replica('b');
    await replica('c');
    const { end, answered, reached } = load();
    await reached('slow', 'b', 'c');
    slow.order({ order: 'work', ms: 200 });
    await until(async () => ((await listed()).slow?.speed ?? 1) < 0.5);
    const before = answered.get('slow') ?? 0;
    await sleep(1500);
    await end();
    const total = [...answered.values()].reduce((sum, calls) => sum + calls, 0);
    expect(((answered.get('slow') ?? 0) - before) / total).toBeLessThan(0.1);
  });

  it('all replicas leave one after another for a newer build, and the new ones join cold', async () => {
    const old = [await replica('a', 20, 'v1'), await replica('b', 20, 'v1'), await replica('c', 20, 'v1')];
    const { end, answered, reached } = load();
    await reached('a', 'b', 'c');
    for (const [index, leaving] of old.entries()) {
      await replica(`new-${index}`, 20, 'v2');
      leaving.order({ order: 'leave' });
      await reached(`new-${index}`);
    }
    await end();
    expect([...answered.keys()].filter((id) => id.startsWith('new')).sort()).toEqual([
      'new-0',
      'new-1',
      'new-2',
    ]);
    const builds = Object.values(await listed())
      .filter(({ state }) => state === ReplicaState.READY)
      .map(({ build }) => build);
    expect(builds).toEqual(['v2', 'v2', 'v2']);
  });
});

describe('cancels', () => {
  const cancelled = async (count: number, abort: AbortSignal) => {
    const calls = Array.from({ length: count }, () =>
      callThrough(pool, { signal: abort, deadlineMs: 600_000 }).then(
        () => 'answered',
        (error) => String(error.code),
      ),
    );
    return await Promise.all(calls);
  };

  it('5,000 at once break no connection and leave nothing behind', async () => {
    // Slow enough that the queue grows, however slowly the calls come.
    await replica('a', 100);
    await replica('b', 100);
    const beside = load();
    const abort = new AbortController();
    const calls = cancelled(5000, abort.signal);
    await until(async () => (await queued()) > 4000, 60_000);
    abort.abort();
    expect((await calls).filter((end) => end === 'cancelled').length).toBeGreaterThan(4000);
    expect(await beside.end()).toBeGreaterThan(0);
    await until(async () => (await queued()) === 0);
    await until(async () => Object.values(await listed()).every(({ inFlight }) => inFlight === 0));
    const faults = Object.values(await listed()).map(({ state, lastError }) => [state, lastError]);
    expect(faults).toEqual([
      [ReplicaState.READY, ''],
      [ReplicaState.READY, ''],
    ]);
  });

  it('100 a second fail none of the calls beside them', async () => {
    await replica('a', 5);
    await replica('b', 5);
    const beside = load(5);
    for (let tick = 0; tick < 60; tick++) {
      const abort = new AbortController();
      const calls = cancelled(10, abort.signal);
      await sleep(90);
      abort.abort();
      await sleep(10);
      await calls;
    }
    expect(await beside.end()).toBeGreaterThan(0);
    expect(Object.values(await listed()).map(({ state }) => state)).toEqual([
      ReplicaState.READY,
      ReplicaState.READY,
    ]);
  });
});
