import { BalancerService, WorkerKind } from '@imagemesh/api';
import { createLogger } from '@imagemesh/observe';
import { createAddresses, type RpcServer, startRpcServer } from '@imagemesh/rpc';
import { afterEach, expect, it } from 'vitest';
import { createMembership } from './join.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A balancer that accepts whoever joins, and counts them. */
async function startBalancer(host: string, port = 0) {
  let joins = 0;
  const server: RpcServer = await startRpcServer({
    host,
    port,
    routes: (router) => {
      router.service(BalancerService, {
        join: async function* (_requests, { signal }) {
          joins++;
          yield { message: { case: 'accepted', value: { balancerId: host, reportIntervalMs: 20 } } };
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
        },
      });
    },
  });
  cleanups.push(() => server.close(0));
  return { port: server.port, joins: () => joins, close: () => server.close(0) };
}

it('joins who is added to the name, and leaves who is taken out of it only when that one ends the stream', async () => {
  const first = await startBalancer('127.0.0.1');
  const second = await startBalancer('127.0.0.2', first.port);
  let hosts = ['127.0.0.1'];
  const lookup = async () => hosts.map((address) => ({ address, family: 4 }));
  const balancers = createAddresses([`balancers:${first.port}`], { everyMs: 1, lookup });
  cleanups.push(() => balancers.close());
  const membership = createMembership({
    balancers,
    hello: () => ({ replicaId: 'r', address: '127.0.0.1:1', worker: WorkerKind.RESIZE, slots: 1 }),
    report: () => ({ serving: true }),
    onDrain: () => {},
    log: createLogger({ name: 'test', level: 'silent' }),
  });
  cleanups.push(() => membership.close());
  await expect.poll(() => membership.joined).toBe(1);
  hosts = ['127.0.0.2'];
  await expect.poll(() => membership.joined).toBe(2);
  expect([first.joins(), second.joins()]).toEqual([1, 1]);
  await first.close();
  await expect.poll(() => membership.joined).toBe(1);
  const again = await startBalancer('127.0.0.1', first.port);
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(again.joins()).toBe(0);
  expect(membership.joined).toBe(1);
});
