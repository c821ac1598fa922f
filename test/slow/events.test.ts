/** Events of a mesh whose NATS goes and comes back: what was offered meanwhile is told once. */
import { JobService, type WatchEventsResponse } from '@imagemesh/api';
import { createGrpcClient, type GrpcClient } from '@imagemesh/rpc';
import { noisePng, startMesh, type TestMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';

const patience = { timeout: 30_000, interval: 50 };

let mesh: TestMesh;
let jobs: GrpcClient<typeof JobService>;
beforeAll(async () => {
  mesh = await startMesh({ nats: true, gateways: 2, replicas: { resize: 1, filter: 0 } });
  // The second is not stopped.
  jobs = createGrpcClient(JobService, mesh.gatewayAddresses[1] ?? '');
});
afterAll(async () => {
  jobs?.close();
  await mesh?.stop();
});

async function upload(seed: number): Promise<string> {
  const body = new Uint8Array(await noisePng(5000, seed));
  const reply = await fetch(`${mesh.gatewayUrl}/upload`, { method: 'POST', body });
  expect(reply.status).toBe(201);
  // A parse boundary: what POST /upload answers.
  return ((await reply.json()) as { image_id: string }).image_id;
}

/** The images whose upload was told, in their order, until the last of them is that one. */
async function toldUploads(last: string): Promise<string[]> {
  const seen: WatchEventsResponse[] = [];
  const query = { types: ['imagemesh.image.uploaded'], afterSequence: 1_000_000n };
  for await (const event of jobs.watchEvents(query)) {
    if (event.id !== '') seen.push(event);
    if (event.subject === last) break;
  }
  return seen.map(({ subject }) => subject);
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${mesh.process('gateway').adminUrl}/metrics`)).text();
  return Number(new RegExp(`^imagemesh_gateway_${name}(?:\\{.*\\})? (.*)$`, 'm').exec(text)?.[1]);
}

const natsIsAway = (name: string) =>
  expect
    .poll(() => mesh.logs(name).some((line) => line.includes('lost the connection to NATS')), patience)
    .toBe(true);

it('uploads while NATS is away are told when it is back, once, in their order', async () => {
  const ids = [await upload(1)];
  await mesh.nats?.kill();
  await natsIsAway('gateway');
  for (const seed of [2, 3, 4]) ids.push(await upload(seed));
  expect(await metric('events_waiting')).toBe(3);
  await mesh.nats?.restart();
  await expect.poll(() => toldUploads(ids[3] ?? ''), patience).toEqual(ids);
  expect([await metric('events_waiting'), await metric('events_dropped_total')]).toEqual([0, 0]);
});

it('a gateway that is stopped while NATS is away tells them before it ends, if NATS comes back in time', async () => {
  await mesh.nats?.kill();
  await natsIsAway('gateway');
  const id = await upload(5);
  const stopped = mesh.kill('gateway', 'SIGTERM');
  await expect
    .poll(() => mesh.logs('gateway').some((line) => line.includes('"stopping"')), patience)
    .toBe(true);
  await mesh.nats?.restart();
  await stopped;
  await expect
    .poll(async () => (await toldUploads(id)).filter((told) => told === id), patience)
    .toEqual([id]);
});
