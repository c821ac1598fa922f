/** grpc-js clients of a Connect server: bidi, reconnecting, errors. */
import { BalancerService } from '@imagemesh/api';
import { afterEach, describe, expect, it } from 'vitest';
import { createGrpcClient } from './clients.ts';
import { MeshError } from './errors.ts';
import { standardInterceptors } from './interceptors.ts';
import { type RpcHandlerOptions, startRpcServer } from './server.ts';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(routes: RpcHandlerOptions['routes'], port = 0) {
  const server = await startRpcServer({ port, routes, interceptors: standardInterceptors() });
  cleanups.push(() => server.close(0));
  return server;
}

function clientTo(port: number) {
  const client = createGrpcClient(BalancerService, `127.0.0.1:${port}`);
  cleanups.push(() => client.close());
  return client;
}

const report = { message: { case: 'report', value: {} } } as const;

describe('a bidi call', () => {
  it('sends and receives in turn, and ends with both sides', async () => {
    const server = await serve((router) =>
      router.service(BalancerService, {
        join: async function* (requests) {
          for await (const _ of requests) yield {};
        },
      }),
    );
    const call = clientTo(server.port).join();
    const messages = call.messages[Symbol.asyncIterator]();
    for (let i = 0; i < 3; i++) {
      await call.send(report);
      expect((await messages.next()).done).toBe(false);
    }
    call.end();
    expect((await messages.next()).done).toBe(true);
    await expect(call.send(report)).rejects.toBeInstanceOf(MeshError);
  });

  it('is cancelled on the server when its loop is left, or its signal fires', async () => {
    let aborted = 0;
    const server = await serve((router) =>
      router.service(BalancerService, {
        join: async function* (_, context) {
          context.signal.addEventListener('abort', () => aborted++);
          yield {};
          await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
        },
      }),
    );
    const client = clientTo(server.port);
    const left = client.join();
    for await (const _ of left.messages) break;
    await expect.poll(() => aborted).toBe(1);
    const controller = new AbortController();
    const signalled = client.join({ signal: controller.signal });
    const reading = (async () => {
      for await (const _ of signalled.messages) controller.abort();
    })();
    await expect(reading).rejects.toMatchObject({ reason: 'CANCELLED' });
    await expect.poll(() => aborted).toBe(2);
  });

  it('tells of the server’s death to whoever reads or sends', async () => {
    const server = await serve((router) =>
      router.service(BalancerService, {
        join: async function* (_, context) {
          yield {};
          await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
        },
      }),
    );
    const call = clientTo(server.port).join();
    const messages = call.messages[Symbol.asyncIterator]();
    await messages.next();
    const reading = expect(messages.next()).rejects.toBeInstanceOf(MeshError);
    await server.close(0);
    await reading;
    await expect(call.send(report)).rejects.toBeInstanceOf(MeshError);
  });
});

describe('a client', () => {
  it('says when nobody listens, and reaches a server that comes back within 2 s', async () => {
    const list: RpcHandlerOptions['routes'] = (router) =>
      router.service(BalancerService, { listReplicas: () => ({}) });
    const server = await serve(list);
    const client = clientTo(server.port);
    await client.listReplicas({});
    await server.close(0);
    await expect(client.listReplicas({})).rejects.toMatchObject({ code: 'unavailable' });
    await serve(list, server.port);
    await expect
      .poll(
        () =>
          client.listReplicas({}).then(
            () => 'ok',
            () => 'down',
          ),
        { timeout: 3000, interval: 50 },
      )
      .toBe('ok');
  });

  it('fails at once where its signal has fired before', async () => {
    const client = clientTo(1);
    await expect(client.listReplicas({}, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      reason: 'CANCELLED',
    });
  });
});
