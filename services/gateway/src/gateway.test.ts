/** The whole gateway in front of a stand-in for the mesh: protocols, ids, errors. Pixels are the mesh tests' part. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import http2 from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ImageService, JobService, TransformRequestSchema, TransformResponseSchema } from '@imagemesh/api';
import type { RunningService } from '@imagemesh/observe';
import {
  createGrpcClient,
  createSessionPool,
  type GrpcClient,
  openWireCall,
  type RpcServer,
} from '@imagemesh/rpc';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encoded, startPeer } from './testing/peer.ts';
import { startTestGateway } from './testing/test-gateway.ts';

// A whole PNG: 1x1 px, red.
const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC',
  'base64',
);
const transformPath = '/imagemesh.v1.ImageService/Transform';
let folder: string;
let peer: RpcServer;
let gateway: RunningService;
let base: string;
let images: GrpcClient<typeof ImageService>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gateway-test-'));
  const { address, server } = await startPeer(encoded);
  peer = server;
  gateway = await startTestGateway(folder, { BALANCER_ADDRESSES: address });
  base = `http://${gateway.address}`;
  images = createGrpcClient(ImageService, gateway.address);
});
afterAll(async () => {
  images.close();
  await gateway.close(1000);
  await peer.close(0);
  await rm(folder, { recursive: true });
});

const request = create(TransformRequestSchema, { source: { source: { case: 'data', value: png } } });

async function post(
  path: string,
  body: string | Uint8Array,
  contentType: string,
  headers: Record<string, string> = {},
) {
  return fetch(`${base}${path}`, {
    method: 'POST',
    body,
    headers: { 'content-type': contentType, ...headers },
  });
}

describe('Transform', () => {
  it('answers over gRPC, Connect with JSON and with protobuf, and gRPC-Web', async () => {
    expect((await images.transform(request)).data).toEqual(Buffer.of(9, 9));

    const json = await post(
      transformPath,
      JSON.stringify({ source: { data: png.toString('base64') } }),
      'application/json',
    );
    expect(await json.json()).toMatchObject({
      data: Buffer.of(9, 9).toString('base64'),
      info: { width: 10 },
    });

    const proto = await post(transformPath, toBinary(TransformRequestSchema, request), 'application/proto');
    const reply = fromBinary(TransformResponseSchema, new Uint8Array(await proto.arrayBuffer()));
    expect(reply).toMatchObject({ data: Uint8Array.of(9, 9), report: { stages: [{ replicaId: 'r1' }] } });

    const message = toBinary(TransformRequestSchema, request);
    const frame = Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]);
    const web = await post(transformPath, frame, 'application/grpc-web+proto');
    const webReply = Buffer.from(await web.arrayBuffer());
    const length = webReply.readUInt32BE(1);
    expect(fromBinary(TransformResponseSchema, webReply.subarray(5, 5 + length)).data).toEqual(
      Buffer.of(9, 9),
    );
    expect(webReply.subarray(5 + length).toString()).toContain('grpc-status: 0');
  });

  it('says the same error in every protocol', async () => {
    const wrong = create(TransformRequestSchema, {
      source: { source: { case: 'data', value: png } },
      operations: [{ operation: { case: 'resize', value: { width: 0 } } }],
    });
    await expect(images.transform(wrong)).rejects.toMatchObject({
      reason: 'INVALID_REQUEST',
      violations: [{ field: 'operations[0].resize.width' }],
    });
    const reply = await post(transformPath, toBinary(TransformRequestSchema, wrong), 'application/proto');
    expect(reply.status).toBe(400);
    expect(await reply.json()).toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining('resize.width'),
    });
  });

  it('gives the id of the call back, the given one or a new one', async () => {
    const given = await post(transformPath, '{}', 'application/json', { 'x-request-id': 'my-id-1' });
    expect(given.headers.get('x-request-id')).toBe('my-id-1');
    const pool = createSessionPool(gateway.address);
    for (const [metadata, id] of [
      [{ 'x-request-id': 'my-id-2' }, 'my-id-2'],
      [{ 'x-request-id': 'two words' }, expect.stringMatching(/^[0-9a-f]{32}$/)],
    ] as const) {
      const wire = openWireCall(pool, { path: transformPath, metadata });
      await wire.writer.message(toBinary(TransformRequestSchema, request));
      wire.end();
      await wire.reader.message();
      expect((await wire.response)['x-request-id']).toEqual(id);
      await wire.status;
    }
    await pool.close();
  });
});

describe('without NATS', () => {
  it('jobs and events are unavailable, not unimplemented', async () => {
    const jobs = createGrpcClient(JobService, gateway.address);
    await expect(jobs.getJob({ jobId: '01ARZ3NDEKTSV4RRFFQ69G5FAV' })).rejects.toMatchObject({
      reason: 'NATS_UNAVAILABLE',
    });
    const watching = jobs.watchEvents({} as never);
    await expect(watching[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      reason: 'NATS_UNAVAILABLE',
    });
    jobs.close();
  });
});

describe('streams of images', () => {
  it('takes an image in chunks over gRPC and answers in chunks', async () => {
    const call = images.transformStream();
    await call.send({ message: { case: 'spec', value: { sizeBytes: BigInt(png.length) } } });
    for (let at = 0; at < png.length; at += 10) {
      await call.send({ message: { case: 'chunk', value: png.subarray(at, at + 10) } });
    }
    call.end();
    const replies = [];
    for await (const { message } of call.messages) replies.push(message);
    expect(replies.map((message) => message.case)).toEqual(['header', 'chunk']);
    expect(replies[1]?.value).toEqual(Buffer.of(9, 9));
  });

  it('stores an image over Connect and gives it back over gRPC', async () => {
    const upload = await post('/upload', png, 'application/octet-stream');
    const { image_id: imageId } = (await upload.json()) as { image_id: string };
    expect((await images.getImage({ imageId })).image?.info).toMatchObject({
      width: 1,
      sizeBytes: BigInt(png.length),
    });
    const parts = [];
    for await (const { message } of images.downloadImage({ imageId })) {
      if (message.case === 'chunk') parts.push(message.value);
    }
    expect(Buffer.concat(parts)).toEqual(png);
  });
});

describe('the port', () => {
  it('answers gRPC with UNIMPLEMENTED and HTTP with 404 where there is nothing', async () => {
    const session = http2.connect(base);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/no.Such/Method',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.end();
    const [headers] = await once(stream, 'response');
    expect(headers['grpc-status']).toBe('12');
    stream.close();
    session.close();
    expect((await fetch(`${base}/nothing`)).status).toBe(404);
  });

  it('is ready once a balancer answers', async () => {
    const ready = await fetch(`http://${gateway.adminAddress}/readyz`);
    expect(ready.status).toBe(200);
  });
});
