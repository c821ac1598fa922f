/** Jobs while everything that works on them is killed in turn. */
import { createHash, randomUUID } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  BalancerService,
  type CreateJobRequestSchema,
  Format,
  ImageService,
  type Job,
  JobService,
  JobState,
  type OperationSchema,
  ReplicaState,
  UploadService,
} from '@imagemesh/api';
import { NATS_CALL_TIMEOUT_MS } from '@imagemesh/events';
import {
  createGrpcClient,
  createSessionPool,
  fromStatus,
  type GrpcClient,
  type SessionPool,
} from '@imagemesh/rpc';
import { decode, photoLike, startMesh, type TestMesh } from '@imagemesh/testkit';
import { connect } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { errorOf } from '../mesh/calls.ts';
import { beginChunks, beginUpload, finishChunks } from './half-written.ts';
import { straysIn } from './store-tree.ts';

const jobCount = 200;

let mesh: TestMesh;
let jobs: GrpcClient<typeof JobService>;
/** The gateway that is not killed. */
let safe: GrpcClient<typeof JobService>;
let images: GrpcClient<typeof ImageService>;
let fleet: GrpcClient<typeof BalancerService>;
let photo: Buffer;
let pool: SessionPool;
let uploads: GrpcClient<typeof UploadService>;
let safeUploads: GrpcClient<typeof UploadService>;

beforeAll(async () => {
  mesh = await startMesh({
    gateways: 2,
    replicas: { resize: 2, filter: 1 },
    nats: true,
    // What the killed leave behind goes soon; no write of this test takes as long.
    env: { TEMPORARY_TTL_MS: '20000', SWEEP_INTERVAL_MS: '2000' },
  });
  const [first = '', second = ''] = mesh.gatewayAddresses;
  jobs = createGrpcClient(JobService, first);
  pool = createSessionPool(first);
  uploads = createGrpcClient(UploadService, first);
  safeUploads = createGrpcClient(UploadService, second);
  safe = createGrpcClient(JobService, second);
  images = createGrpcClient(ImageService, second);
  fleet = createGrpcClient(BalancerService, second);
  photo = await photoLike(1600, 1200);
});

afterAll(async () => {
  for (const client of [jobs, safe, images, fleet, uploads, safeUploads]) client?.close();
  await pool?.close();
  await mesh?.stop();
});

type Operations = MessageInitShape<typeof OperationSchema>[];

/** Each is work of its own; every third goes through both kinds of replica. */
function operationsOf(at: number): Operations {
  const resize: Operations = [
    { operation: { case: 'resize', value: { width: 300 + at, height: 200 + at } } },
  ];
  return at % 3 === 0 ? [...resize, { operation: { case: 'blur', value: {} } }] : resize;
}

const output = { format: Format.WEBP };
const source = () => ({ source: { case: 'data' as const, value: photo } });

/** As a client should: again while it is UNAVAILABLE, for half a minute at most. */
async function persistently<Result>(call: () => Promise<Result>): Promise<Result> {
  for (const endMs = Date.now() + 30_000; ; await sleep(250)) {
    try {
      return await call();
    } catch (error) {
      if (Date.now() > endMs) throw error;
    }
  }
}

/** Its request_id makes the call safe to repeat. */
async function created(
  client: GrpcClient<typeof JobService>,
  request: MessageInitShape<typeof CreateJobRequestSchema>,
): Promise<string> {
  const { job } = await persistently(() => client.createJob({ requestId: randomUUID(), ...request }));
  return job?.id ?? '';
}

async function listed(run: string, states: JobState[] = []): Promise<Job[]> {
  const found: Job[] = [];
  let pageToken = '';
  do {
    const asked = { labels: { run }, states, pageSize: 100, pageToken };
    const page = await persistently(() => safe.listJobs(asked));
    found.push(...page.jobs);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return found;
}

/** Waits for a condition, while calls may fail; for a minute and a half at most. */
async function until(isTrue: () => Promise<boolean>): Promise<void> {
  for (const endMs = Date.now() + 90_000; Date.now() < endMs; await sleep(100)) {
    if (await isTrue().catch(() => false)) return;
  }
  throw new Error('it did not come about within 90 s');
}

const ended = (run: string, count: number) =>
  until(
    async () =>
      (await listed(run, [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])).length >= count,
  );

/** How many events each job had, by "verb id". */
async function finalEvents(): Promise<Map<string, number>> {
  const connection = await connect({ servers: mesh.natsUrl });
  try {
    const { streams } = await connection.jetstreamManager();
    const { state } = await streams.info('IMAGEMESH_EVENTS', { subjects_filter: 'imagemesh.events.job.>' });
    return new Map(
      Object.entries(state.subjects ?? {})
        .map(([subject, count]) => [subject.split('.').slice(3).join(' '), count] as const)
        .filter(([name]) => /^(?:completed|failed|cancelled) /.test(name)),
    );
  } finally {
    await connection.close();
  }
}

async function bytesOf(imageId: string): Promise<Buffer> {
  const [, address] = mesh.gatewayAddresses;
  const reply = await fetch(`http://${address}/images/${imageId}`);
  expect(reply.status).toBe(200);
  return Buffer.from(await reply.arrayBuffer());
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

it('200 jobs end once each with the right result, while a gateway, a replica, the balancer and NATS are killed', async () => {
  const ids = await Promise.all(
    Array.from({ length: jobCount }, (_, at) =>
      created(at % 2 === 0 ? jobs : safe, {
        requestId: `kill-${at}`,
        source: source(),
        variants: [{ operations: operationsOf(at), output }],
        labels: { run: 'kill', at: String(at) },
      }),
    ),
  );
  expect(new Set(ids).size).toBe(jobCount);

  await ended('kill', 20);
  const halfWritten = await beginUpload(pool, join(mesh.dataDir, 'store'), photo);
  const halfSent = await beginChunks(uploads);
  await mesh.kill('gateway');
  expect((await stat(halfWritten)).size).toBeGreaterThan(0);
  await ended('kill', 50);
  await mesh.restart('gateway');
  await mesh.kill('resize-1');
  await ended('kill', 80);
  await mesh.restart('resize-1');
  await mesh.kill('balancer-1');
  await mesh.restart('balancer-1');
  await ended('kill', 120);
  await mesh.nats?.kill();
  await sleep(1000);
  await mesh.nats?.restart();
  await ended('kill', jobCount);

  await finishChunks(safeUploads, halfSent);
  const all = await listed('kill');
  expect(all.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  expect(all.filter(({ state }) => state !== JobState.SUCCEEDED)).toEqual([]);
  for (const { labels, results } of all) {
    const at = Number(labels.at);
    const id = results[0]?.image?.id ?? '';
    const bytes = await bytesOf(id);
    expect(sha256(bytes)).toBe(id);
    const { width, height } = await decode(bytes);
    expect([width, height]).toEqual([300 + at, 200 + at]);
    // The same bytes as without jobs, of one in ten.
    if (at % 10 > 0) continue;
    const { data } = await images.transform({ source: source(), operations: operationsOf(at), output });
    expect(sha256(data)).toBe(id);
  }
  const events = await persistently(finalEvents);
  expect([...events].toSorted()).toEqual(ids.map((id) => [`completed ${id}`, 1]).toSorted());
});

it('without NATS a new job is UNAVAILABLE at once, calls go on, and running jobs settle in the same attempt', async () => {
  const ids = await Promise.all(
    Array.from({ length: 8 }, (_, at) =>
      created(safe, {
        source: source(),
        variants: [
          {
            operations: [{ operation: { case: 'rotate', value: { angle: 10 + at } } }],
            output: { ...output, effort: 6 },
          },
        ],
        labels: { run: 'settle' },
      }),
    ),
  );
  await until(async () => (await listed('settle', [JobState.RUNNING])).length > 0);
  await mesh.nats?.kill();
  const beganMs = Date.now();
  const error = await errorOf(safe.createJob({ source: source(), variants: [{}] }));
  expect([error.code, error.reason]).toEqual(['unavailable', 'NATS_UNAVAILABLE']);
  expect(error.retryAfterMs).toBeGreaterThan(0);
  // The first exchange with NATS ends it, within its bound; what else the call does is short.
  expect(NATS_CALL_TIMEOUT_MS).toBeLessThanOrEqual(1500);
  expect(Date.now() - beganMs).toBeLessThan(2000);
  expect((await images.transform({ source: source(), operations: operationsOf(1) })).info?.width).toBe(301);
  await mesh.nats?.restart();
  await ended('settle', ids.length);
  for (const { state, attempts } of await listed('settle')) {
    expect([state, attempts]).toEqual([JobState.SUCCEEDED, 1]);
  }
});

it('a job whose replica dies again and again ends POISONED, once and for all, and its neighbours succeed', async () => {
  /** Of the replicas that were never killed, one that works. */
  const working = async () => {
    const { replicas } = await fleet.listReplicas({});
    return replicas.find(
      ({ replicaId, inFlight, state }) =>
        replicaId.startsWith('resize-') &&
        inFlight > 0 &&
        state !== ReplicaState.DEAD &&
        !killed.has(replicaId),
    )?.replicaId;
  };
  const killed = new Set<string>();
  await mesh.allJoined();
  const operations: Operations = [{ operation: { case: 'resize', value: { width: 3000, height: 2400 } } }];
  const poison = await created(safe, {
    source: source(),
    variants: [{ operations, output: { format: Format.AVIF, effort: 6 } }],
    labels: { run: 'poison' },
  });
  for (let deaths = 0; deaths < 3; deaths += 1) {
    let victim: string | undefined;
    await until(async () => {
      victim = await working();
      return victim !== undefined;
    });
    killed.add(victim ?? '');
    // The second life of resize-1 is called resize-1.2.
    const [name = ''] = (victim ?? '').split('.');
    await mesh.kill(name);
    await mesh.restart(name);
  }
  const neighbours = await Promise.all(
    [40, 41, 42].map((width) =>
      created(safe, {
        source: source(),
        variants: [{ operations: [{ operation: { case: 'resize', value: { width } } }] }],
        labels: { run: 'neighbours' },
      }),
    ),
  );
  await ended('poison', 1);
  await ended('neighbours', neighbours.length);
  expect((await listed('neighbours', [JobState.SUCCEEDED])).length).toBe(neighbours.length);
  const { job } = await persistently(() => safe.getJob({ jobId: poison }));
  expect(job?.state).toBe(JobState.FAILED);
  expect(job?.error && fromStatus(job.error).reason).toBe('POISONED');
  expect((await persistently(finalEvents)).get(`failed ${poison}`)).toBe(1);
});

it('after all that nothing half-written is left in the data folder, and what the killed left behind is swept', async () => {
  expect(await readdir(mesh.dataDir)).toEqual(['store']);
  const root = join(mesh.dataDir, 'store');
  expect((await readdir(join(root, 'images'), { recursive: true })).length).toBeGreaterThan(jobCount);
  await expect.poll(() => straysIn(root), { timeout: 60_000, interval: 1000 }).toEqual([]);
});
