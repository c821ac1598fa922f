/** What a mesh answers while its disk is full, and after its folder was emptied under it. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ImageService, type Job, JobService, JobState } from '@imagemesh/api';
import {
  createGrpcClient,
  createSessionPool,
  fromStatus,
  type GrpcClient,
  type SessionPool,
} from '@imagemesh/rpc';
import { decode, gradient, noisePng, startMesh, type TestMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { errorOf, uploadImage } from '../mesh/calls.ts';

const patience = { timeout: 60_000, interval: 100 };

let disk: string;
let isSmall: boolean;
let mesh: TestMesh;
let jobs: GrpcClient<typeof JobService>;
let images: GrpcClient<typeof ImageService>;
let pool: SessionPool;

beforeAll(async () => {
  disk = await mkdtemp(join(tmpdir(), 'imagemesh-disk-'));
  isSmall = mount();
  mesh = await startMesh({
    nats: true,
    replicas: { resize: 1, filter: 1 },
    env: { STORE_URL: `file:${disk}` },
  });
  jobs = createGrpcClient(JobService, mesh.gatewayAddress);
  images = createGrpcClient(ImageService, mesh.gatewayAddress);
  pool = createSessionPool(mesh.gatewayAddress);
});
afterAll(async () => {
  for (const client of [jobs, images]) client?.close();
  await pool?.close();
  await mesh?.stop();
  if (isSmall) execFileSync('/bin/umount', [disk]);
  await rm(disk, { recursive: true, force: true });
});

/** Root may mount a file system of 8 MiB; others cannot fill a disk. */
function mount(): boolean {
  try {
    execFileSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const stored = (imageId: string) => ({ source: { case: 'imageId' as const, value: imageId } });
const variants = (width: number) => [
  { operations: [{ operation: { case: 'resize' as const, value: { width } } }] },
];

async function created(imageId: string, width: number): Promise<string> {
  const { job } = await jobs.createJob({ source: stored(imageId), variants: variants(width) });
  return job?.id ?? '';
}

const now = async (jobId: string): Promise<Job | undefined> => (await jobs.getJob({ jobId })).job;

it('a full disk is RESOURCE_EXHAUSTED to who brings bytes; a running job waits for room, in the same attempt', async (context) => {
  if (!isSmall) return context.skip('mounting a small file system needs root');
  const { id } = await uploadImage(pool, {}, await gradient({ width: 80, height: 60 }));
  const { bavail, bsize } = await statfs(disk);
  const filler = join(disk, 'filler');
  await writeFile(filler, Buffer.alloc(bavail * bsize));

  const picture = await noisePng(300_000);
  const full = { reason: 'STORE_FULL', code: 'resource_exhausted', retryAfterMs: expect.any(Number) };
  const inline = { source: { case: 'data' as const, value: picture } };
  expect(await errorOf(jobs.createJob({ source: inline, variants: variants(20) }))).toMatchObject(full);
  expect(await errorOf(uploadImage(pool, {}, picture))).toMatchObject(full);
  const upload = await fetch(`${mesh.gatewayUrl}/upload`, { method: 'POST', body: new Uint8Array(picture) });
  expect([upload.status, ((await upload.json()) as { error: { reason: string } }).error.reason]).toEqual([
    507,
    'STORE_FULL',
  ]);
  // What stores nothing goes on.
  expect((await images.transform({ source: stored(id), ...variants(30)[0] })).info?.width).toBe(30);
  expect((await images.transform({ source: inline })).info?.sizeBytes).toBeGreaterThan(0n);

  const jobId = await created(id, 40);
  const refused = (line: string) => line.includes('an attempt of a job failed') && line.includes(jobId);
  await expect.poll(() => mesh.logs('gateway').filter(refused).join(), patience).toContain('STORE_FULL');
  await rm(filler);
  await expect.poll(async () => (await now(jobId))?.state, patience).toBe(JobState.SUCCEEDED);
  expect((await now(jobId))?.attempts).toBe(1);
});

it('a store that is emptied: images are NOT_FOUND, jobs that need them FAILED with that, and what comes after works', async () => {
  const bytes = await gradient({ width: 90, height: 60 });
  const { id } = await uploadImage(pool, {}, bytes);
  await mesh.kill('resize-1');
  const jobId = await created(id, 45);
  for (const name of await readdir(disk)) await rm(join(disk, name), { recursive: true });
  await mesh.restart('resize-1');
  await expect.poll(async () => (await now(jobId))?.state, patience).toBe(JobState.FAILED);
  const failed = await now(jobId);
  expect(failed?.error && fromStatus(failed.error)).toMatchObject({
    code: 'not_found',
    reason: 'IMAGE_NOT_FOUND',
  });
  // Claims may be remembered for five seconds.
  await expect
    .poll(async () => (await errorOf(images.getImage({ imageId: id }))).reason, patience)
    .toBe('IMAGE_NOT_FOUND');

  expect((await uploadImage(pool, {}, bytes)).id).toBe(id);
  const again = await created(id, 45);
  await expect.poll(async () => (await now(again))?.state, patience).toBe(JobState.SUCCEEDED);
  const result = (await now(again))?.results[0]?.image?.id;
  const reply = await fetch(`${mesh.gatewayUrl}/images/${result}`);
  expect((await decode(new Uint8Array(await reply.arrayBuffer()))).width).toBe(45);
});
