import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { noisePng, quadrants, startMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pixelsOf } from './calls.ts';

const run = promisify(execFile);
const buf = join(import.meta.dirname, '../../node_modules/.bin/buf');

let mesh: Awaited<ReturnType<typeof startMesh>>;
let body: string;

beforeAll(async () => {
  mesh = await startMesh({ replicas: { resize: 1, filter: 1 }, nats: true });
  const data = (await quadrants({ width: 64, height: 32 })).toString('base64');
  body = JSON.stringify({
    source: { data },
    operations: [{ resize: { width: 32, height: 16 } }, { grayscale: {} }],
    output: { format: 'FORMAT_PNG' },
  });
});
afterAll(async () => {
  await mesh?.stop();
});

async function check(json: string): Promise<void> {
  const reply = JSON.parse(json);
  const { width, height, at } = await pixelsOf(Buffer.from(reply.data, 'base64'));
  // Rec. 601: red is 76, green is 150.
  expect([width, height, at(2, 2)[0], at(30, 2)[0]]).toEqual([32, 16, 76, 150]);
}

describe('Transform by', () => {
  it.each(['grpc', 'grpcweb', 'connect'])('buf curl over %s, with reflection', async (protocol) => {
    const transport = protocol === 'grpc' ? ['--http2-prior-knowledge'] : [];
    const reflect = ['--reflect-protocol', 'grpc-v1'];
    const url = `${mesh.gatewayUrl}/imagemesh.v1.ImageService/Transform`;
    const schema = protocol === 'grpc' ? reflect : ['--schema', join(import.meta.dirname, '../..')];
    const { stdout } = await run(buf, [
      'curl',
      '--protocol',
      protocol,
      ...transport,
      ...schema,
      '-d',
      body,
      url,
    ]);
    await check(stdout);
  });

  it('plain HTTP with JSON', async () => {
    const reply = await fetch(`${mesh.gatewayUrl}/imagemesh.v1.ImageService/Transform`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    expect(reply.status).toBe(200);
    await check(await reply.text());
  });

  it('plain HTTP with JSON, as much as a unary result may have', async () => {
    const data = (await noisePng(3_900_000)).toString('base64');
    const reply = await fetch(`${mesh.gatewayUrl}/imagemesh.v1.ImageService/Transform`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ source: { data }, output: { effort: 0 } }),
    });
    expect(reply.status).toBe(200);
    const result = Buffer.from(JSON.parse(await reply.text()).data, 'base64');
    expect(result.length).toBeGreaterThan(3_800_000);
  });

  it('grpcurl, where it is installed', async (context) => {
    const isInstalled = await run('grpcurl', ['-version']).then(
      () => true,
      () => false,
    );
    // grpcurl is in no package registry of the CI machine; buf curl makes the same call above.
    if (!isInstalled) context.skip();
    const file = join(mesh.dataDir, 'request.json');
    await writeFile(file, body);
    const { stdout } = await run('sh', [
      '-c',
      `grpcurl -plaintext -d @ ${mesh.gatewayAddress} imagemesh.v1.ImageService/Transform < ${file}`,
    ]);
    await check(stdout);
  });
});

describe('every service', () => {
  it('lists its methods by reflection and says that it is serving', async () => {
    for (const [name, address, expected] of [
      ['gateway', mesh.gatewayAddress, 'imagemesh.v1.JobService/CreateJob'],
      ['balancer-1', mesh.balancerAddresses[0] ?? '', 'imagemesh.v1.BalancerService/Join'],
      ['resize-1', mesh.process('resize-1').address, 'imagemesh.v1.ResizeService/Resize'],
      ['filter-1', mesh.process('filter-1').address, 'imagemesh.v1.FilterService/Filter'],
    ] as const) {
      const plain = ['curl', '--protocol', 'grpc', '--http2-prior-knowledge'];
      const { stdout } = await run(buf, [...plain, '--list-methods', `http://${address}`]);
      expect(stdout, name).toContain(expected);
      expect(stdout, name).toContain('grpc.health.v1.Health/Check');
      const health = await run(buf, [...plain, '-d', '{}', `http://${address}/grpc.health.v1.Health/Check`]);
      expect(JSON.parse(health.stdout), name).toEqual({ status: 'SERVING' });
    }
  });

  it('serves /healthz, /readyz and /metrics on its admin port', async () => {
    for (const name of ['gateway', 'balancer-1', 'resize-1', 'filter-1']) {
      const admin = mesh.process(name).adminUrl;
      expect((await fetch(`${admin}/healthz`)).status, name).toBe(200);
      expect((await fetch(`${admin}/readyz`)).status, name).toBe(200);
      expect(await (await fetch(`${admin}/metrics`)).text(), name).toContain('process_cpu_seconds_total');
    }
  });
});

describe('a request id and a trace', () => {
  it('run from the client through gateway, balancer and replica', async () => {
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    const reply = await fetch(`${mesh.gatewayUrl}/imagemesh.v1.ImageService/Transform`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-request-id': 'my-request-1',
        traceparent: `00-${traceId}-00f067aa0ba902b7-01`,
      },
      body,
    });
    expect(reply.headers.get('x-request-id')).toBe('my-request-1');
    for (const name of ['gateway', 'balancer-1', 'resize-1', 'filter-1']) {
      await expect
        .poll(() => mesh.logs(name).some((line) => line.includes('my-request-1') && line.includes(traceId)), {
          message: name,
        })
        .toBe(true);
    }
  });
});

describe('plain HTTP', () => {
  it('uploads, queues, polls and fetches', async () => {
    const form = new FormData();
    form.append(
      'image',
      new Blob([new Uint8Array(await quadrants({ width: 64, height: 32 }))]),
      'corners.png',
    );
    const uploaded = await fetch(`${mesh.gatewayUrl}/upload`, { method: 'POST', body: form });
    expect(uploaded.status).toBe(201);
    const { image_id: imageId } = JSON.parse(await uploaded.text());

    for (const [route, fields, size] of [
      ['resize', { width: '20', height: '10' }, [20, 10]],
      ['crop', { left: '32', top: '0', width: '32', height: '16' }, [32, 16]],
      ['filter', { filter: 'blur' }, [64, 32]],
      ['filter', { filter: 'edges' }, [64, 32]],
    ] as const) {
      const queued = await fetch(`${mesh.gatewayUrl}/${route}`, {
        method: 'POST',
        body: new URLSearchParams({ image: imageId, ...fields }),
      });
      expect(queued.status).toBe(202);
      const { task_id: taskId } = JSON.parse(await queued.text());
      const poll = async () => JSON.parse(await (await fetch(`${mesh.gatewayUrl}/jobs/${taskId}`)).text());
      await expect.poll(poll, { timeout: 10_000 }).toMatchObject({ state: 'JOB_STATE_SUCCEEDED' });
      const job = await poll();
      const result = await fetch(`${mesh.gatewayUrl}/images/${job.results[0].image_id}`);
      expect(result.headers.get('content-type')).toBe('image/png');
      const { width, height } = await pixelsOf(new Uint8Array(await result.arrayBuffer()));
      expect([width, height]).toEqual(size);
    }
  });

  it.each([
    ['an upload that is no image', '/upload', { method: 'POST', body: 'hello' }, 415, 'NOT_AN_IMAGE'],
    ['an empty upload', '/upload', { method: 'POST', body: '' }, 415, 'NOT_AN_IMAGE'],
    ['no such image', `/images/${'ab'.repeat(32)}`, {}, 404, 'IMAGE_NOT_FOUND'],
    ['an id that is none', '/images/..%2f..%2fetc', {}, 404, 'ROUTE_NOT_FOUND'],
    ['no such job', '/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV', {}, 404, 'JOB_NOT_FOUND'],
    ['no such page', '/nowhere', {}, 404, 'ROUTE_NOT_FOUND'],
    [
      'a width that is no number',
      '/resize',
      { method: 'POST', body: new URLSearchParams({ image: 'ab'.repeat(32), width: 'wide' }) },
      400,
      'INVALID_REQUEST',
    ],
  ])('%s is a JSON error', async (_name, path, init, status, reason) => {
    const reply = await fetch(`${mesh.gatewayUrl}${path}`, init);
    expect(reply.status).toBe(status);
    expect(await reply.json()).toMatchObject({ error: { reason } });
    expect(reply.headers.get('x-request-id')).toBeTruthy();
  });
});
