import { setTimeout as sleep } from 'node:timers/promises';
import { BalancerService } from '@imagemesh/api';
import { createGrpcClient, type ServerWireCall } from '@imagemesh/rpc';
import { afterEach, expect, it } from 'vitest';
import { type SmallMesh, startSmallMesh, until } from './testing/small-mesh.ts';
import { echo } from './testing/small-replica.ts';

let mesh: SmallMesh;
afterEach(() => mesh.close());

/** Takes the call and never answers. */
const never = (call: ServerWireCall) =>
  new Promise<void>((_resolve, reject) => {
    call.signal.addEventListener('abort', () => reject(call.signal.reason), { once: true });
  });

const soon = async (call: ServerWireCall) => {
  await sleep(5);
  await echo(call);
};

async function list() {
  const client = createGrpcClient(BalancerService, mesh.balancer.address);
  const { replicas } = await client.listReplicas({});
  client.close();
  return Object.fromEntries(replicas.map((replica) => [replica.replicaId, replica]));
}

it('lets no call wait for a replica that accepts and never answers, and gives it little more', async () => {
  mesh = await startSmallMesh();
  const hole = await mesh.replica({ id: 'hole', slots: 2, serve: never });
  await mesh.replica({ id: 'well-1', slots: 2, serve: soon });
  await mesh.replica({ id: 'well-2', slots: 2, serve: soon });
  for (let round = 0; round < 10; round++) {
    const calls = Array.from({ length: 4 }, () => mesh.call({ metadata: { 'im-cost': '5' } }));
    for (const { replica } of await Promise.all(calls)) expect(replica).toMatch(/^well/);
  }
  expect(hole.begun).toBeGreaterThan(0);
  expect(hole.begun).toBeLessThan(8);
  // Its calls are taken back from it.
  await until(() => hole.running === 0);
  expect(hole.aborted).toBe(hole.begun);
  const { hole: listed } = await list();
  expect(listed?.lastError).toMatch(/^no answer in \d+ ms, expected in \d+$/);
  expect(Number(listed?.failed)).toBe(hole.begun);
  expect(listed?.speed).toBeLessThan(0.5);
});

it('takes the answer of the first replica if that is there first', async () => {
  mesh = await startSmallMesh();
  const slow = async (call: ServerWireCall) => {
    await sleep(120, undefined, { signal: call.signal });
    await echo(call);
  };
  const first = await mesh.replica({ id: 'first', serve: slow });
  const running = mesh.call({ metadata: { 'im-cost': '10' } });
  await until(() => first.running === 1);
  const second = await mesh.replica({ id: 'second', serve: slow });
  expect((await running).replica).toBe('first');
  expect(second.begun).toBe(1);
  await until(() => second.aborted === 1);
  expect((await list()).second?.failed).toBe(0n);
});

it('waits on where the second replica fails, and fails with neither', async () => {
  mesh = await startSmallMesh();
  const slow = async (call: ServerWireCall) => {
    await sleep(300, undefined, { signal: call.signal });
    await echo(call);
  };
  const first = await mesh.replica({ id: 'first', serve: slow });
  const running = mesh.call({ metadata: { 'im-cost': '10' } });
  await until(() => first.running === 1);
  const second = await mesh.replica({ id: 'second', serve: () => Promise.reject(new Error('broken')) });
  expect((await running).replica).toBe('first');
  expect(second.begun).toBe(1);
});

it('runs no call twice that may not be', async () => {
  mesh = await startSmallMesh();
  const slow = async (call: ServerWireCall) => {
    await sleep(200);
    await echo(call);
  };
  await mesh.replica({ id: 'first', serve: slow, idempotent: false });
  const second = await mesh.replica({ id: 'second', serve: slow, idempotent: false });
  const { replica } = await mesh.call({ metadata: { 'im-cost': '10' } });
  expect(replica).toMatch(/first|second/);
  expect(second.begun + (replica === 'first' ? 1 : 0)).toBe(1);
});
