/** What is stored, seen from outside: deleted, damaged, needed by jobs; and replicas with a store of their own. */
import { mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { BalancerService, ImageService, JobService, JobState, type OperationSchema } from '@imagemesh/api';
import { createGrpcClient, createSessionPool, type GrpcClient, type SessionPool } from '@imagemesh/rpc';
import { gradient, missingS3, startMesh, startS3, type TestMesh, type TestS3 } from '@imagemesh/testkit';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { downloadImage, uploadImage } from '../mesh/calls.ts';

const patient = { timeout: 30_000, interval: 50 };

interface Clients {
  readonly mesh: TestMesh;
  readonly pool: SessionPool;
  readonly images: GrpcClient<typeof ImageService>;
  readonly jobs: GrpcClient<typeof JobService>;
  stop(): Promise<void>;
}

async function start(options: Parameters<typeof startMesh>[0]): Promise<Clients> {
  const mesh = await startMesh({ nats: true, ...options });
  const pool = createSessionPool(mesh.gatewayAddress);
  const images = createGrpcClient(ImageService, mesh.gatewayAddress);
  const jobs = createGrpcClient(JobService, mesh.gatewayAddress);
  return {
    ...{ mesh, pool, images, jobs },
    async stop() {
      images.close();
      jobs.close();
      await pool.close();
      await mesh.stop();
    },
  };
}

async function finished({ jobs }: Clients, jobId: string) {
  for await (const { job } of jobs.watchJob({ jobId })) {
    if (job?.state === JobState.SUCCEEDED) return job;
    if (job?.state === JobState.FAILED) throw new Error(JSON.stringify(job.error));
  }
  throw new Error('the watch ended before the job');
}

const operations: MessageInitShape<typeof OperationSchema>[] = [
  { operation: { case: 'invert', value: {} } },
  { operation: { case: 'resize', value: { width: 40 } } },
];
const thumbnail = [
  { name: 'small', operations: [{ operation: { case: 'resize' as const, value: { width: 20 } } }] },
];

/** Transforms a stored image, in the call and as a job, in several stages: the same as from its bytes. */
async function worksOnStoredImages(clients: Clients): Promise<string> {
  const { pool, images, jobs } = clients;
  const bytes = await gradient({ width: 80, height: 60 });
  const { id } = await uploadImage(pool, {}, bytes);
  const stored = { source: { case: 'imageId' as const, value: id } };
  const byId = await images.transform({ source: stored, operations });
  const inline = await images.transform({ source: { source: { case: 'data', value: bytes } }, operations });
  expect(Buffer.from(byId.data).equals(Buffer.from(inline.data))).toBe(true);
  expect(byId.report?.stages.length).toBeGreaterThan(1);

  const { job } = await jobs.createJob({ source: stored, variants: [{ name: 'a', operations }] });
  const result = (await finished(clients, job?.id ?? '')).results[0]?.image;
  const parts: Buffer[] = [];
  await downloadImage(pool, result?.id ?? '', (part) => {
    parts.push(part);
  });
  expect(Buffer.concat(parts).equals(Buffer.from(inline.data))).toBe(true);
  return id;
}

describe('a mesh that keeps nothing for long', () => {
  let clients: Clients;
  beforeAll(async () => {
    clients = await start({
      replicas: { resize: 1, filter: 0 },
      env: {
        SWEEP_INTERVAL_MS: '200',
        SWEEP_GRACE_MS: '1000',
        UNCLAIMED_TTL_MS: '1000',
        TEMPORARY_TTL_MS: '1000',
      },
    });
  });
  afterAll(() => clients?.stop());

  const pathOf = (id: string) => join(clients.mesh.dataDir, 'store', 'images', id.slice(0, 2), id);
  const isStored = (id: string) =>
    open(pathOf(id)).then(
      async (file) => {
        await file.close();
        return true;
      },
      () => false,
    );

  it('an image is listed, deleted, and its bytes go; another stays', async () => {
    const { pool, images } = clients;
    const kept = await uploadImage(pool, { filename: 'kept' }, await gradient({ width: 40, height: 30 }));
    const deleted = await uploadImage(
      pool,
      { filename: 'deleted' },
      await gradient({ width: 41, height: 30 }),
    );
    const listed = async () => (await images.listImages({})).images.map(({ filename }) => filename);
    expect(await listed()).toEqual(['deleted', 'kept']);
    for (let time = 0; time < 2; time += 1) await images.deleteImage({ imageId: deleted.id });
    expect(await listed()).toEqual(['kept']);
    await expect(images.getImage({ imageId: deleted.id })).rejects.toMatchObject({
      reason: 'IMAGE_NOT_FOUND',
    });
    expect((await fetch(`${clients.mesh.gatewayUrl}/images/${deleted.id}`)).status).toBe(404);
    await vi.waitFor(async () => expect(await isStored(deleted.id)).toBe(false), patient);
    expect(await isStored(kept.id)).toBe(true);
  });

  it('a job finishes though its image was deleted while it waited, and what it needed goes after that', async () => {
    const { pool, images, jobs, mesh } = clients;
    const image = await uploadImage(pool, {}, await gradient({ width: 60, height: 40 }));
    await mesh.kill('resize-1', 'SIGTERM');
    const { job } = await jobs.createJob({
      source: { source: { case: 'imageId', value: image.id } },
      variants: thumbnail,
    });
    await images.deleteImage({ imageId: image.id });
    // Long enough for several sweeps, were it not for the job.
    const victim = await uploadImage(pool, {}, await gradient({ width: 61, height: 40 }));
    await images.deleteImage({ imageId: victim.id });
    await vi.waitFor(async () => expect(await isStored(victim.id)).toBe(false), patient);
    expect(await isStored(image.id)).toBe(true);
    await mesh.restart('resize-1');
    const done = await finished(clients, job?.id ?? '');
    const result = done.results[0]?.image;
    expect(result?.info).toMatchObject({ width: 20 });
    expect(result?.expireTime).toBeDefined();
    expect((await images.listImages({})).images[0]?.id).toBe(result?.id);
    await vi.waitFor(async () => expect(await isStored(image.id)).toBe(false), patient);
    expect(await isStored(result?.id ?? '')).toBe(true);
  });

  it('a bit that flips on the disk is DATA_LOSS for whoever reads it, and a new upload mends it', async () => {
    const { pool, images } = clients;
    const bytes = await gradient({ width: 300, height: 200 });
    const { id } = await uploadImage(pool, {}, bytes);
    const file = await open(pathOf(id), 'r+');
    await file.write(Buffer.of((bytes[200] ?? 0) ^ 1), 0, 1, 200);
    await file.close();
    const damaged = { reason: 'BLOB_DAMAGED', code: 'data_loss' };
    const source = { source: { case: 'imageId' as const, value: id } };
    await expect(images.transform({ source })).rejects.toMatchObject(damaged);
    await expect(downloadImage(pool, id, () => {})).rejects.toMatchObject(damaged);
    expect((await fetch(`${clients.mesh.gatewayUrl}/images/${id}`)).status).toBe(500);
    await uploadImage(pool, {}, bytes);
    expect((await images.transform({ source })).info).toMatchObject({ width: 300 });
  });
});

describe('replicas with another store than the gateway', () => {
  let clients: Clients;
  let other: string;
  beforeAll(async () => {
    other = await mkdtemp(join(tmpdir(), 'imagemesh-other-'));
    clients = await start({ replicaEnv: { STORE_URL: `file:${other}` } });
  });
  afterAll(async () => {
    await clients?.stop();
    await rm(other, { recursive: true, force: true });
  });

  it('say so when they join, and work all the same: on stored images, for jobs, for several stages', async () => {
    const { mesh } = clients;
    const replicas = createGrpcClient(BalancerService, mesh.gatewayAddress);
    const storeIds = new Set((await replicas.listReplicas({})).replicas.map(({ storeId }) => storeId));
    replicas.close();
    expect([...storeIds]).toEqual([await readFile(join(other, 'store-id'), 'utf8')]);

    await worksOnStoredImages(clients);
    expect(await readdir(join(other, 'images'))).toEqual([]);
    expect(
      mesh.logs('gateway').filter((line) => line.includes('no replica shares the store')).length,
    ).toBeGreaterThan(0);
  });
});

const missing = await missingS3();
describe.skipIf(missing !== undefined)(`a mesh on S3${missing === undefined ? '' : ` (${missing})`}`, () => {
  let s3: TestS3;
  let clients: Clients;
  beforeAll(async () => {
    s3 = await startS3();
    const env = { ...s3.env, STORE_URL: s3.storeUrl() };
    clients = await start({
      env: { ...env, SWEEP_INTERVAL_MS: '500', SWEEP_GRACE_MS: '1000', UNCLAIMED_TTL_MS: '1000' },
    });
  });
  afterAll(async () => {
    await clients?.stop();
    await s3?.stop();
  });

  it('stores, transforms, lists, deletes and sweeps, and no process tells the secret', async () => {
    const { images, pool, mesh } = clients;
    const id = await worksOnStoredImages(clients);
    expect((await images.listImages({})).images.map((image) => image.id)).toContain(id);
    await images.deleteImage({ imageId: id });
    await expect(downloadImage(pool, id, () => {})).rejects.toMatchObject({ reason: 'IMAGE_NOT_FOUND' });
    await vi.waitFor(
      () => expect(mesh.logs('gateway').join('\n')).toMatch(/"removedImages":[1-9].*store swept/),
      patient,
    );
    for (const name of ['gateway', ...mesh.replicaNames()])
      expect(mesh.logs(name).join('\n')).not.toContain(s3.env.AWS_SECRET_ACCESS_KEY);
  });
});
