import { setTimeout as sleep } from 'node:timers/promises';
import { BalancerService, ImageService, ReplicaState } from '@imagemesh/api';
import { createGrpcClient, deadlineIn, type GrpcClient } from '@imagemesh/rpc';
import { noisePng, quadrants, startMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorOf } from '../mesh/calls.ts';

let mesh: Awaited<ReturnType<typeof startMesh>>;
let images: GrpcClient<typeof ImageService>;
let fleet: GrpcClient<typeof BalancerService>;
let slow: Buffer;

beforeAll(async () => {
  mesh = await startMesh({ replicas: { resize: 2, filter: 1 }, nats: false });
  images = createGrpcClient(ImageService, mesh.gatewayAddress, { maxMessageBytes: 16 * 1024 * 1024 });
  fleet = createGrpcClient(BalancerService, mesh.gatewayAddress);
  slow = await noisePng(3_000_000);
});
afterAll(async () => {
  images?.close();
  fleet?.close();
  await mesh?.stop();
});

const isUp = (state: ReplicaState) => state === ReplicaState.WARMING || state === ReplicaState.READY;

const shrink = (data: Uint8Array, options = {}) =>
  images.transform(
    {
      source: { source: { case: 'data', value: data } },
      operations: [
        { operation: { case: 'rotate', value: { angle: 7 } } },
        { operation: { case: 'resize', value: { width: 300 } } },
      ],
    },
    options,
  );

async function states(): Promise<Record<string, ReplicaState>> {
  const { replicas } = await fleet.listReplicas({});
  return Object.fromEntries(replicas.map((replica) => [replica.replicaId, replica.state]));
}

/** Waits until the fleet looks as asked, for at most 10 s. */
async function until(check: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if (await check()) return;
    await sleep(100);
  }
  throw new Error('it did not come about within 10 s');
}

describe('a replica', () => {
  it('killed in the middle of its calls fails none of them, is out at once and back when restarted', async () => {
    const ids = Object.keys(await states()).filter((id) => id.startsWith('resize'));
    expect(ids).toHaveLength(2);
    const calls = Array.from({ length: 12 }, () => shrink(slow));
    await sleep(150);
    await mesh.kill('resize-1', 'SIGKILL');
    const results = await Promise.allSettled(calls);
    expect(results.filter((result) => result.status === 'rejected')).toEqual([]);

    await until(
      async () => Object.values(await states()).filter((state) => state === ReplicaState.DEAD).length === 1,
    );
    await mesh.restart('resize-1');
    await until(async () => {
      const now = Object.entries(await states());
      return now.filter(([id, state]) => id.startsWith('resize') && isUp(state)).length === 2;
    });
    await Promise.all(Array.from({ length: 8 }, () => shrink(slow)));
  });

  it('that is drained finishes its work, leaves, and its peer does the rest', async () => {
    const id = Object.entries(await states()).find(
      ([name, state]) => name.startsWith('resize') && state === ReplicaState.READY,
    )?.[0];
    const calls = Array.from({ length: 8 }, () => shrink(slow));
    await sleep(100);
    const { replica } = await fleet.drainReplica({ replicaId: id ?? '', reason: 'test' });
    expect(replica?.state).toBe(ReplicaState.DRAINING);
    const results = await Promise.allSettled(calls);
    expect(results.filter((result) => result.status === 'rejected')).toEqual([]);
    await until(async () => ((await states())[id ?? ''] ?? ReplicaState.DEAD) === ReplicaState.DEAD);
    expect((await shrink(slow)).info?.width).toBe(300);
  });

  it('that nobody knows cannot be drained', async () => {
    const error = await errorOf(fleet.drainReplica({ replicaId: 'nobody' }));
    expect([error.code, error.reason]).toEqual(['not_found', 'REPLICA_NOT_FOUND']);
  });

  it('shows in WatchReplicas when it dies and when it comes back', async () => {
    const seen: ReplicaState[][] = [];
    const abort = new AbortController();
    const watching = (async () => {
      for await (const { replicas } of fleet.watchReplicas(
        { minIntervalMs: 100 },
        { signal: abort.signal },
      )) {
        const filters = replicas.filter((replica) => replica.replicaId.startsWith('filter'));
        seen.push(filters.map((replica) => replica.state));
      }
    })().catch(() => {});
    await until(async () => seen.length > 0);
    await mesh.kill('filter-1', 'SIGKILL');
    await until(async () => seen.some((states) => states.includes(ReplicaState.DEAD)));
    await mesh.restart('filter-1');
    await until(async () => seen.at(-1)?.some(isUp) ?? false);
    abort.abort();
    await watching;
  });
});

describe('a call', () => {
  it('whose kind of worker is gone waits a little, then is UNAVAILABLE and says why', async () => {
    await mesh.kill('filter-1', 'SIGKILL');
    const picture = await quadrants({ width: 32, height: 32 });
    const error = await errorOf(
      images.transform({
        source: { source: { case: 'data', value: picture } },
        operations: [{ operation: { case: 'blur', value: {} } }],
      }),
    );
    expect([error.code, error.reason]).toEqual(['unavailable', 'NO_REPLICA']);
    expect(error.retryAfterMs).toBeGreaterThan(0);
    await mesh.restart('filter-1');
  });

  it('ends at its deadline', async () => {
    const error = await errorOf(shrink(await noisePng(12_000_000), { deadline: deadlineIn(60) }));
    expect(error.code).toBe('deadline_exceeded');
  });

  it('that is cancelled frees its slot', async () => {
    const abort = new AbortController();
    const cancelled = Array.from({ length: 20 }, () =>
      shrink(slow, { signal: abort.signal }).catch((error) => error.code),
    );
    await sleep(100);
    abort.abort();
    expect(new Set(await Promise.all(cancelled))).toEqual(new Set(['cancelled']));
    await until(async () => {
      const { replicas, queues } = await fleet.listReplicas({});
      return (
        [...replicas, ...queues].every((entry) => entry.inFlight === 0) &&
        queues.every((queue) => queue.queued === 0)
      );
    });
    expect((await shrink(slow)).info?.width).toBe(300);
  });

  it('outlives the balancer being restarted', async () => {
    const calls = Array.from({ length: 6 }, () => shrink(slow));
    await sleep(100);
    await mesh.kill('balancer-1', 'SIGKILL');
    await mesh.restart('balancer-1');
    const results = await Promise.allSettled(calls);
    expect(results.filter((result) => result.status === 'rejected')).toEqual([]);
  });
});
