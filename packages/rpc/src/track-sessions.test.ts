/** The end of a server: what becomes of calls that its grace does not cover. */
import { connect } from 'node:http2';
import { BalancerService, ImageService } from '@imagemesh/api';
import { afterEach, describe, expect, it } from 'vitest';
import { createGrpcClient } from './clients.ts';
import { MeshError } from './errors.ts';
import { standardInterceptors } from './interceptors.ts';
import { startRpcServer } from './server.ts';
import { createSessionPool } from './sessions.ts';
import { openWireCall } from './wire-client.ts';
import { wireHandler } from './wire-server.ts';

const rawPath = '/imagemesh.v1.ResizeService/Resize';
const never = () => new Promise<never>(() => {});
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A server whose calls never end. `begun` resolves once `count` of them run. */
async function start(count: number) {
  let left = count;
  let onBegun = () => {};
  const begun = new Promise<void>((resolve) => {
    onBegun = resolve;
  });
  const begin = () => {
    if (--left === 0) onBegun();
  };
  const server = await startRpcServer({
    interceptors: standardInterceptors(),
    routes: (router) => {
      router.service(ImageService, {
        transform: () => {
          begin();
          return never();
        },
      });
      router.service(BalancerService, {
        watchReplicas: async function* () {
          yield {};
          begin();
          await never();
        },
      });
    },
    streams: new Map([
      [
        rawPath,
        wireHandler(() => {
          begin();
          return never();
        }),
      ],
    ]),
  });
  cleanups.push(() => server.close(0));
  return { server, begun, address: `127.0.0.1:${server.port}` };
}

/** What a promise rejects with. */
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('calls that outlast the grace of a closing server', () => {
  it('end as UNAVAILABLE, raw or through Connect', async () => {
    const { server, begun, address } = await start(3);
    const pool = createSessionPool(address);
    const images = createGrpcClient(ImageService, address);
    cleanups.push(
      () => pool.close(),
      () => images.close(),
    );
    const raw = openWireCall(pool, { path: rawPath });
    const json = fetchOverHttp2(address);
    const ended = Promise.all([
      failure(raw.status),
      failure(images.transform({ source: { source: { case: 'data', value: Buffer.from('x') } } })),
      json,
    ]);
    await begun;
    await server.close(100);
    const [rawError, grpcError, status] = await ended;
    for (const error of [rawError, grpcError]) {
      expect(error).toBeInstanceOf(MeshError);
      expect(error).toMatchObject({ code: 'unavailable', reason: 'SHUTTING_DOWN' });
    }
    expect(status).toBe(503);
  });

  it('end with an error where the reply has begun', async () => {
    const { server, begun, address } = await start(1);
    const fleet = createGrpcClient(BalancerService, address);
    cleanups.push(() => fleet.close());
    const watching = (async () => {
      for await (const _ of fleet.watchReplicas({}));
    })();
    const ended = failure(watching);
    await begun;
    await server.close(100);
    expect(await ended).toBeInstanceOf(MeshError);
  });
});

/** The HTTP status of a Connect call over HTTP/2; undefined if the stream closes without one. */
async function fetchOverHttp2(address: string): Promise<number | undefined> {
  const session = connect(`http://${address}`);
  cleanups.push(() => session.destroy());
  session.on('error', () => {});
  const stream = session.request({
    ':method': 'POST',
    ':path': '/imagemesh.v1.ImageService/Transform',
    'content-type': 'application/json',
  });
  let status: number | undefined;
  stream.on('response', (headers) => {
    status = headers[':status'];
  });
  stream.on('error', () => {});
  stream.resume();
  stream.end('{"source":{"data":"eA=="}}');
  await new Promise((resolve) => stream.on('close', resolve));
  return status;
}
