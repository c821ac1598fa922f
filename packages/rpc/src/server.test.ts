/**
 * The server through Connect: gRPC by grpc-js, Connect JSON by fetch, validation, errors, deadlines. A little longer than
 * most, as all of it goes through the same three ways to call.
 */

import { createServer as createHttp1Server } from 'node:http';
import { connect } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { ImageService } from '@imagemesh/api';
import { createLogger, createMetrics } from '@imagemesh/observe';
import { afterEach, describe, expect, it } from 'vitest';
import { createGrpcClient } from './clients.ts';
import { deadlineIn } from './deadline.ts';
import { MeshError } from './errors.ts';
import { frameMessage } from './frames.ts';
import { errorFromTrailers } from './grpc-status.ts';
import { type CallInfo, callInfo, standardInterceptors } from './interceptors.ts';
import { createRpcHandler, type RpcHandlerOptions, startRpcServer } from './server.ts';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

type Routes = RpcHandlerOptions['routes'];

async function serve(routes: Routes, options: Partial<RpcHandlerOptions> = {}) {
  const server = await startRpcServer({ routes, interceptors: standardInterceptors(), ...options });
  cleanups.push(() => server.close(0));
  const client = createGrpcClient(ImageService, `127.0.0.1:${server.port}`);
  cleanups.push(() => client.close());
  return { server, client };
}

const good = { source: { source: { case: 'data', value: Buffer.from('x') } } } as const;

const resizeTo = (width: number) => ({
  ...good,
  operations: [{ operation: { case: 'resize' as const, value: { width } } }],
});

/** A plain HTTP/2 POST of that body. */
async function post(port: number, path: string, body: Buffer, headers: Record<string, string> = {}) {
  const session = connect(`http://127.0.0.1:${port}`);
  cleanups.push(() => session.destroy());
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  let head: Record<string, unknown> = {};
  let trailers: Record<string, unknown> = {};
  stream.on('response', (got) => {
    head = got;
  });
  stream.on('trailers', (got) => {
    trailers = got;
  });
  const parts: Buffer[] = [];
  stream.on('data', (bytes: Buffer) => parts.push(bytes));
  stream.end(body);
  await new Promise((resolve) => stream.on('close', resolve));
  const end = 'grpc-status' in trailers ? trailers : head;
  return { head, body: Buffer.concat(parts), error: errorFromTrailers(end as Record<string, string>) };
}

describe('a request that breaks a rule', () => {
  it('is refused with the path of the field, whatever the depth', async () => {
    const { client } = await serve((router) => router.service(ImageService, { transform: () => ({}) }));
    const error = await client.transform(resizeTo(0)).catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      reason: 'INVALID_REQUEST',
      message:
        'operations[0].resize.width: must be greater than or equal to 1 and less than or equal to 65535',
      violations: [{ field: 'operations[0].resize.width' }],
    });
  });

  it('is refused with the path of the message, where the rule is about a message', async () => {
    const { client } = await serve((router) => router.service(ImageService, { transform: () => ({}) }));
    await expect(
      client.transform({ ...good, operations: [{ operation: { case: 'resize', value: {} } }] }),
    ).rejects.toMatchObject({
      message: 'operations[0].resize: either width, height or both, or percent must be given',
      violations: [
        {
          field: 'operations[0].resize',
          description: 'either width, height or both, or percent must be given',
        },
      ],
    });
    await expect(client.transform({ ...good, operations: [{}] })).rejects.toMatchObject({
      violations: [{ field: 'operations[0].operation' }],
    });
  });

  it('names every broken rule', async () => {
    const { client } = await serve((router) => router.service(ImageService, { transform: () => ({}) }));
    const operations = [resizeTo(-1), resizeTo(1), resizeTo(70_000)].flatMap((request) => request.operations);
    await expect(client.transform({ ...good, operations })).rejects.toMatchObject({
      message: expect.stringMatching(/^operations\[0\]\.resize\.width: .* \(and 1 more\)$/),
      violations: [{ field: 'operations[0].resize.width' }, { field: 'operations[2].resize.width' }],
    });
  });
});

describe('a request that cannot be read', () => {
  it.each<[string, Buffer, string]>([
    ['garbage protobuf', frameMessage(Buffer.from([0xff, 0xff, 0xff])), 'INVALID_REQUEST'],
    ['a truncated frame', Buffer.from([0, 0, 0, 0, 9, 1]), 'INVALID_REQUEST'],
    // gRPC's own word for too few and too many messages: https://grpc.io/docs/guides/status-codes/
    ['no message at all', Buffer.alloc(0), 'NOT_IMPLEMENTED'],
    [
      'two messages',
      Buffer.concat([frameMessage(Buffer.alloc(0)), frameMessage(Buffer.alloc(0))]),
      'NOT_IMPLEMENTED',
    ],
    ['an oversized length', Buffer.from([0, 0x7f, 0xff, 0xff, 0xff, 1]), 'BODY_TOO_LARGE'],
    ['a compressed message', Buffer.from([1, 0, 0, 0, 1, 1]), 'COMPRESSION_UNSUPPORTED'],
  ])('over gRPC is the caller’s error: %s', async (_, body, reason) => {
    const { server, client } = await serve((router) =>
      router.service(ImageService, { transform: () => ({}) }),
    );
    const { error } = await post(server.port, '/imagemesh.v1.ImageService/Transform', body);
    expect(error).toMatchObject({ reason });
    await client.transform(good);
  });

  it('is UNIMPLEMENTED when compressed with something unknown, or when there is no such method', async () => {
    const { server } = await serve((router) => router.service(ImageService, { transform: () => ({}) }));
    const path = '/imagemesh.v1.ImageService/Transform';
    const gzip = await post(server.port, path, Buffer.from([1, 0, 0, 0, 1, 1]), { 'grpc-encoding': 'gzip' });
    expect(gzip.error).toMatchObject({ reason: 'COMPRESSION_UNSUPPORTED' });
    const other = await post(server.port, '/imagemesh.v1.ImageService/Nothing', Buffer.alloc(5));
    expect(other.error).toMatchObject({ reason: 'NOT_IMPLEMENTED' });
    expect(other.error?.message).toContain('Nothing');
  });
});

describe('an error of a handler', () => {
  it('arrives whole over gRPC, with its reason in im-reason', async () => {
    const { server, client } = await serve((router) =>
      router.service(ImageService, {
        transform: () => {
          throw new MeshError('QUEUE_FULL', 'zu viel', { retryAfterMs: 1500, metadata: { depth: '9' } });
        },
      }),
    );
    await expect(client.transform(good)).rejects.toMatchObject({
      reason: 'QUEUE_FULL',
      message: 'zu viel',
      retryAfterMs: 1500,
      metadata: { depth: '9' },
    });
    const raw = await post(server.port, '/imagemesh.v1.ImageService/GetImage', frameMessage(Buffer.alloc(0)));
    expect(raw.error).toBeInstanceOf(MeshError);
  });

  it('that nobody expected is INTERNAL and tells nothing', async () => {
    const lines: string[] = [];
    const log = createLogger({ name: 'test', destination: { write: (line) => lines.push(line) } });
    const { client } = await serve(
      (router) =>
        router.service(ImageService, {
          transform: () => {
            throw new TypeError('secret path /etc');
          },
        }),
      { interceptors: standardInterceptors({ log }) },
    );
    const error = await client.transform(good).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ reason: 'INTERNAL', message: 'something went wrong inside' });
    expect(lines.join()).toContain('secret path');
  });

  it('of a method that is not there yet says so, with a reason', async () => {
    const { client } = await serve((router) => router.service(ImageService, {}));
    await expect(client.transform(good)).rejects.toMatchObject({ reason: 'NOT_IMPLEMENTED' });
  });
});

describe('a call', () => {
  it('of a polled method is logged at debug, unless it fails', async () => {
    const lines: string[] = [];
    const log = createLogger({ name: 'test', destination: { write: (line) => lines.push(line) } });
    let isBroken = false;
    const { client } = await serve(
      (router) =>
        router.service(ImageService, {
          transform: () => {
            if (isBroken) throw new TypeError('broken');
            return {};
          },
        }),
      { interceptors: standardInterceptors({ log, polled: ['/imagemesh.v1.ImageService/Transform'] }) },
    );
    await client.transform(good);
    expect(lines).toEqual([]);
    isBroken = true;
    await expect(client.transform(good)).rejects.toMatchObject({ reason: 'INTERNAL' });
    expect(lines).toHaveLength(1);
  });

  it('has a request id, a trace and a deadline, and leaves one log line and one sample', async () => {
    const lines: string[] = [];
    const log = createLogger({ name: 'test', destination: { write: (line) => lines.push(line) } });
    const metrics = createMetrics('test');
    let info: CallInfo | undefined;
    const { client } = await serve(
      (router) =>
        router.service(ImageService, {
          transform: (_, context) => {
            info = callInfo(context);
            return {};
          },
        }),
      { interceptors: standardInterceptors({ log, metrics, defaultDeadlineMs: 30_000 }) },
    );
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await client.transform(good, { metadata: { 'x-request-id': 'req-1', traceparent } });
    expect(info).toMatchObject({
      requestId: 'req-1',
      trace: { traceId: '0af7651916cd43dd8448eb211c80319c' },
    });
    expect(info?.trace.spanId).not.toBe('b7ad6b7169203331');
    expect(info?.deadline?.atMs).toBeGreaterThan(Date.now() + 20_000);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'info',
      method: '/imagemesh.v1.ImageService/Transform',
      code: 'ok',
      requestId: 'req-1',
    });
    expect(await metrics.registry.metrics()).toContain(
      'imagemesh_rpc_calls_total{method="/imagemesh.v1.ImageService/Transform",code="ok",service="test"} 1',
    );
  });

  it('ends at its deadline, also when its handler does not care', async () => {
    const { client } = await serve(
      (router) => router.service(ImageService, { transform: () => new Promise(() => {}) }),
      {
        interceptors: standardInterceptors({ defaultDeadlineMs: 80 }),
      },
    );
    await expect(client.transform(good)).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
    await expect(client.transform(good, { deadline: deadlineIn(40) })).rejects.toMatchObject({
      reason: 'DEADLINE_EXCEEDED',
    });
  });

  it('that its caller gives up on is cancelled in the handler', async () => {
    let reason: unknown;
    const { client } = await serve((router) =>
      router.service(ImageService, {
        transform: (_, context) =>
          new Promise((_resolve, reject) => {
            context.signal.addEventListener('abort', () => {
              reason = context.signal.reason;
              reject(reason);
            });
          }),
      }),
    );
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 30);
    await expect(client.transform(good, { signal: controller.signal })).rejects.toMatchObject({
      reason: 'CANCELLED',
    });
    await expect.poll(() => reason).toMatchObject({ reason: 'CANCELLED' });
  });

  it('streams its reply, and its error after part of it', async () => {
    const { client } = await serve((router) =>
      router.service(ImageService, {
        downloadImage: async function* () {
          yield {};
          yield {};
          throw new MeshError('STORE_FAILED', 'disk');
        },
      }),
    );
    let messages = 0;
    const reading = (async () => {
      for await (const _ of client.downloadImage({ imageId: '0'.repeat(64) })) messages++;
    })();
    await expect(reading).rejects.toMatchObject({ reason: 'STORE_FAILED' });
    expect(messages).toBe(2);
  });
});

describe('over HTTP/1.1', () => {
  async function serveHttp1(routes: Routes): Promise<string> {
    const handler = createRpcHandler({ routes, interceptors: standardInterceptors() });
    const server = createHttp1Server((request, response) => handler.request(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => server.close());
    // A TCP server that listens has such an address.
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async function postJson(url: string, body: string) {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    return {
      status: response.status,
      json: (await response.json()) as Record<string, unknown>,
      headers: response.headers,
    };
  }

  it('answers Connect JSON, and its errors have details', async () => {
    const base = await serveHttp1((router) => router.service(ImageService, { transform: () => ({}) }));
    const url = `${base}/imagemesh.v1.ImageService/Transform`;
    expect((await postJson(url, '{"source":{"data":"eA=="}}')).status).toBe(200);
    const bad = await postJson(url, '{"source":{"data":"eA=="},"operations":[{"resize":{"width":0}}]}');
    expect(bad).toMatchObject({ status: 400, json: { code: 'invalid_argument' } });
    expect(JSON.stringify(bad.json.details)).toContain('google.rpc.BadRequest');
    expect(bad.headers.get('im-reason')).toBe('INVALID_REQUEST');
    const garbage = await postJson(url, '{"source":');
    expect(garbage).toMatchObject({ status: 400, json: { code: 'invalid_argument' } });
    expect(JSON.stringify(garbage.json.details)).toContain('google.rpc.ErrorInfo');
  });

  it('answers 404 in JSON where nothing is served', async () => {
    const base = await serveHttp1(() => {});
    const response = await postJson(`${base}/nothing`, '{}');
    expect(response).toMatchObject({ status: 404, json: { error: { reason: 'ROUTE_NOT_FOUND' } } });
  });
});
