/** grpc.health.v1 over a real connection. */
import { health } from '@imagemesh/api';
import { afterEach, describe, expect, it } from 'vitest';
import { createGrpcClient } from './clients.ts';
import { createHealth } from './health.ts';
import { standardInterceptors } from './interceptors.ts';
import { startRpcServer } from './server.ts';

const { HealthCheckResponse_ServingStatus: Serving } = health;
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start() {
  const service = createHealth(['a.A']);
  const server = await startRpcServer({ routes: service.routes, interceptors: standardInterceptors() });
  cleanups.push(() => server.close(0));
  const client = createGrpcClient(health.Health, `127.0.0.1:${server.port}`);
  cleanups.push(() => client.close());
  return { service, server, client };
}

describe('health', () => {
  it('checks and lists services, and knows none that it was not told of', async () => {
    const { service, client } = await start();
    expect(await client.check({})).toMatchObject({ status: Serving.NOT_SERVING });
    service.set('', true);
    service.set('a.A', true);
    expect(service.isServing('')).toBe(true);
    expect(await client.check({ service: 'a.A' })).toMatchObject({ status: Serving.SERVING });
    expect(Object.keys((await client.list({})).statuses)).toEqual(['', 'a.A']);
    await expect(client.check({ service: 'b.B' })).rejects.toMatchObject({ code: 'not_found' });
  });

  it('watches: what is, then each change once, unknown services too', async () => {
    const { service, client } = await start();
    const seen: number[] = [];
    const watching = (async () => {
      for await (const { status } of client.watch({ service: 'b.B' })) {
        seen.push(status);
        if (seen.length === 3) break;
      }
    })();
    await expect.poll(() => seen).toEqual([Serving.SERVICE_UNKNOWN]);
    service.set('b.B', true);
    await expect.poll(() => seen.length).toBe(2);
    service.set('b.B', true);
    service.set('a.A', true);
    service.set('b.B', false);
    await watching;
    expect(seen).toEqual([Serving.SERVICE_UNKNOWN, Serving.SERVING, Serving.NOT_SERVING]);
  });

  it('ends every watch on shutdown, so that the server closes at once', async () => {
    const { service, server, client } = await start();
    service.set('', true);
    const seen: number[] = [];
    const watching = (async () => {
      for await (const { status } of client.watch({})) seen.push(status);
    })();
    await expect.poll(() => seen.length).toBe(1);
    const startedMs = performance.now();
    service.shutdown();
    await watching;
    await server.close(5000);
    expect(performance.now() - startedMs).toBeLessThan(2000);
    expect(seen).toEqual([Serving.SERVING, Serving.NOT_SERVING]);
    service.set('', true);
    expect(service.isServing('')).toBe(false);
  });
});
