/** Runs of jobs against a real nats-server. Longer than most: every test needs the same server and ledger of runs. */
import { setTimeout as sleep } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { CreateJobRequestSchema, type Job, JobState, type Variant } from '@imagemesh/api';
import { consumerOf, JOB_STREAM } from '@imagemesh/events';
import { fromStatus, MeshError } from '@imagemesh/rpc';
import { startNats, type TestNats } from '@imagemesh/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  call,
  claims,
  createJobHarness,
  emptied,
  events,
  finished,
  type GatewayOptions,
  type JobHarness,
  persistently,
  quick,
  request,
  toImage,
} from '../testing/job-harness.ts';
import type { RunVariant } from './jobs.ts';

let server: TestNats;
let harness: JobHarness;
const startGateway = (runVariant: RunVariant, options?: GatewayOptions) =>
  harness.startGateway(runVariant, options);

beforeEach(async () => {
  server = await startNats();
  harness = createJobHarness(server.url);
});

afterEach(async () => {
  await harness.stop();
  await server.stop();
});

test('a job is queued, runs, gets its results one by one and ends in one event', async () => {
  const gateway = startGateway(quick);
  const job = await persistently(() => gateway.jobs.create(call, request(['a', 'b', 'c'])));
  expect(job).toMatchObject({ state: JobState.QUEUED, labels: { album: 'summer' } });
  const seen: Job[] = [];
  for await (const change of gateway.jobs.watch(call, job.id, 0n)) seen.push(change);
  const last = seen.at(-1);
  expect(last?.state).toBe(JobState.SUCCEEDED);
  expect(last?.results.map(({ name }) => name).toSorted()).toEqual(['a', 'b', 'c']);
  expect(last?.attempts).toBe(1);
  const sequences = seen.map(({ sequence }) => sequence);
  expect(sequences).toEqual([...new Set(sequences)].toSorted((a, b) => Number(a - b)));
  expect(await gateway.jobs.get(call, job.id)).toEqual(last);
  for (const { image } of last?.results ?? [])
    expect(await claims.get('anonymous', image?.id ?? '')).toBeDefined();
  await emptied(gateway);
  expect(await events(gateway)).toEqual([`imagemesh.events.job.completed.${job.id} 1`]);
  const resumed: Job[] = [];
  for await (const change of gateway.jobs.watch(call, job.id, last?.sequence ?? 0n)) resumed.push(change);
  expect(resumed).toEqual([last]);
  await expect(gateway.jobs.get({ ...call, owner: 'other' }, job.id)).rejects.toMatchObject({
    reason: 'JOB_NOT_FOUND',
  });
});

test('a request id makes one job, whoever asks how often; with another request it is a conflict', async () => {
  const gateways = [startGateway(quick), startGateway(quick)];
  const asked = await Promise.all(
    Array.from({ length: 8 }, (_, at) =>
      persistently(async () => gateways[at % 2]?.jobs.create(call, request(['a'], 'order-1'))),
    ),
  );
  expect(new Set(asked.map((job) => job?.id)).size).toBe(1);
  const [gateway] = gateways;
  if (gateway === undefined) throw new Error('no gateway');
  await expect(gateway.jobs.create(call, request(['b'], 'order-1'))).rejects.toMatchObject({
    reason: 'REQUEST_ID_REUSED',
    code: 'already_exists',
  });
  await finished(gateway, asked[0]?.id ?? '');
  await emptied(gateway);
  expect(await events(gateway)).toEqual([`imagemesh.events.job.completed.${asked[0]?.id} 1`]);
});

test('what cannot be done is refused at once', async () => {
  const gateway = startGateway(quick);
  await persistently(() => gateway.jobs.create(call, request()));
  await expect(gateway.jobs.create(call, request(['a', 'bad']))).rejects.toThrow('variants[1] is bad');
  await expect(gateway.jobs.create(call, request(['a', '', 'a']))).rejects.toMatchObject({
    reason: 'INVALID_REQUEST',
  });
  const source = { source: { case: 'imageId' as const, value: '0'.repeat(64) } };
  const unknown = create(CreateJobRequestSchema, { source, variants: [{}] });
  await expect(gateway.jobs.create(call, unknown)).rejects.toMatchObject({ reason: 'IMAGE_NOT_FOUND' });
});

test('an image that is refused fails the job at once; an overload does not count, and a lost replica does', async () => {
  const attempts = new Map<string, number>();
  const gateway = startGateway(async (at, source, variant: Variant) => {
    const count = (attempts.get(variant.name) ?? 0) + 1;
    attempts.set(variant.name, count);
    if (variant.name === 'damaged') throw new MeshError('DAMAGED_IMAGE', 'it is damaged');
    if (variant.name === 'busy' && count === 1) throw new MeshError('OVERLOADED', 'too much');
    if (variant.name === 'lost' && count === 1) throw new MeshError('REPLICA_LOST', 'gone');
    return quick(at, source, variant);
  });
  const [damaged, busy, lost] = await Promise.all(
    ['damaged', 'busy', 'lost'].map((name) =>
      persistently(() => gateway.jobs.create(call, request([name, 'good']))),
    ),
  );
  const failed = await finished(gateway, damaged?.id ?? '');
  expect(failed).toMatchObject({ state: JobState.FAILED, attempts: 1 });
  expect(failed.error && fromStatus(failed.error)).toMatchObject({
    reason: 'DAMAGED_IMAGE',
    message: 'it is damaged',
  });
  expect(await finished(gateway, busy?.id ?? '')).toMatchObject({ state: JobState.SUCCEEDED, attempts: 1 });
  expect(await finished(gateway, lost?.id ?? '')).toMatchObject({ state: JobState.SUCCEEDED, attempts: 2 });
  await emptied(gateway);
  expect((await events(gateway)).toSorted()).toEqual(
    [
      `imagemesh.events.job.failed.${damaged?.id} 1`,
      `imagemesh.events.job.completed.${busy?.id} 1`,
      `imagemesh.events.job.completed.${lost?.id} 1`,
    ].toSorted(),
  );
});

test('a gateway that dies is replaced by another, which does only what is missing', async () => {
  const ran: string[] = [];
  const dying = startGateway((at, source, variant) => {
    ran.push(`dying ${variant.name}`);
    return variant.name === 'slow' ? new Promise(() => {}) : quick(at, source, variant);
  });
  const job = await persistently(() => dying.jobs.create(call, request(['quick', 'slow'])));
  await persistently(async () => expect((await dying.jobs.get(call, job.id)).results).toHaveLength(1));
  await dying.kill();
  const heir = startGateway((at, source, variant) => {
    ran.push(`heir ${variant.name}`);
    return quick(at, source, variant);
  });
  expect(await persistently(() => finished(heir, job.id))).toMatchObject({
    state: JobState.SUCCEEDED,
    attempts: 2,
  });
  expect(ran).toEqual(['dying quick', 'dying slow', 'heir slow']);
  await emptied(heir);
  expect(await events(heir)).toEqual([`imagemesh.events.job.completed.${job.id} 1`]);
});

test('a gateway that stops hands its work back at once, and that is no attempt', async () => {
  const stopping = startGateway(
    ({ signal: aborted }) =>
      new Promise((_, reject) => aborted.addEventListener('abort', () => reject(aborted.reason))),
    { ackWaitMs: 30_000 },
  );
  const job = await persistently(() => stopping.jobs.create(call, request()));
  await persistently(async () =>
    expect((await stopping.jobs.get(call, job.id)).state).toBe(JobState.RUNNING),
  );
  const began = Date.now();
  await stopping.jobs.close(2000);
  expect(Date.now() - began).toBeLessThan(2100);
  expect(await stopping.jobs.get(call, job.id)).toMatchObject({ state: JobState.QUEUED, attempts: 0 });
  const heir = startGateway(quick, { ackWaitMs: 30_000 });
  expect(await persistently(() => finished(heir, job.id))).toMatchObject({
    state: JobState.SUCCEEDED,
    attempts: 1,
  });
  expect(Date.now() - began).toBeLessThan(8000);
});

test('a run that was thought dead writes nothing after another took its job', async () => {
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const stalled = startGateway(async () => {
    await held;
    return toImage('late');
  });
  const job = await persistently(() => stalled.jobs.create(call, request()));
  await persistently(async () => expect((await stalled.jobs.get(call, job.id)).state).toBe(JobState.RUNNING));
  // Its heartbeats stop, as if the process were frozen.
  await stalled.link.close();
  const heir = startGateway(quick);
  const done = await persistently(() => finished(heir, job.id));
  release();
  await sleep(500);
  expect(await heir.jobs.get(call, job.id)).toEqual(done);
  expect(done.results[0]?.image?.id).not.toBe(toImage('late').id);
});

test('work done while NATS is away is settled when it is back, in the same attempt', async () => {
  let runs = 0;
  const gateway = startGateway(
    async (at, source, variant) => {
      runs += 1;
      await sleep(800);
      return quick(at, source, variant);
    },
    { ackWaitMs: 3000 },
  );
  const job = await persistently(() => gateway.jobs.create(call, request()));
  await persistently(async () => expect(runs).toBe(1));
  const watching = finished(gateway, job.id);
  watching.catch(() => {});
  await server.kill();
  await expect(watching).rejects.toMatchObject({ reason: 'NATS_UNAVAILABLE' });
  const began = Date.now();
  await expect(gateway.jobs.create(call, request())).rejects.toMatchObject({
    reason: 'NATS_UNAVAILABLE',
    retryAfterMs: 1000,
  });
  expect(Date.now() - began).toBeLessThan(1000);
  await sleep(1500);
  await server.restart();
  expect(await persistently(() => finished(gateway, job.id))).toMatchObject({
    state: JobState.SUCCEEDED,
    attempts: 1,
  });
  expect(runs).toBe(1);
  await emptied(gateway);
  expect(await events(gateway)).toEqual([`imagemesh.events.job.completed.${job.id} 1`]);
});

test('a message that comes to another gateway while its job is being worked on begins no second run', async () => {
  let runs = 0;
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const slowly: RunVariant = async (at, source, variant) => {
    runs += 1;
    await held;
    return quick(at, source, variant);
  };
  const first = startGateway(slowly, { concurrency: 1, ackWaitMs: 30_000 });
  const job = await persistently(() => first.jobs.create(call, request()));
  await persistently(async () => expect(runs).toBe(1));
  startGateway(slowly, { concurrency: 1, ackWaitMs: 30_000 });
  // As a server does that has forgotten who has it.
  await first.link.call(async (connection) => {
    const { consumers } = await connection.jetstreamManager();
    await consumers.delete(JOB_STREAM, consumerOf('normal'));
  });
  await first.link.remake();
  await sleep(1500);
  release();
  expect(await finished(first, job.id)).toMatchObject({ state: JobState.SUCCEEDED, attempts: 1 });
  await emptied(first);
  expect(runs).toBe(1);
  expect(await events(first)).toEqual([`imagemesh.events.job.completed.${job.id} 1`]);
});

test('a NATS that lost everything takes new jobs, and the old one is gone', async () => {
  const gateway = startGateway(quick);
  const old = await persistently(() => gateway.jobs.create(call, request()));
  await finished(gateway, old.id);
  await server.kill();
  await server.wipe();
  await server.restart();
  const job = await persistently(() => gateway.jobs.create(call, request()));
  expect((await finished(gateway, job.id)).state).toBe(JobState.SUCCEEDED);
  await expect(gateway.jobs.get(call, old.id)).rejects.toMatchObject({ reason: 'JOB_NOT_FOUND' });
});

test('sixty jobs through two gateways, one killed and NATS restarted: each ends once, in one event', async () => {
  const slowly: RunVariant = async (at, source, variant) => {
    await sleep(40);
    return quick(at, source, variant);
  };
  const [first, second] = [
    startGateway(slowly, { concurrency: 4 }),
    startGateway(slowly, { concurrency: 4 }),
  ];
  const ids = await Promise.all(
    Array.from({ length: 60 }, async (_, at) => {
      const made = await persistently(() => second.jobs.create(call, request([`v${at}`, 'w'], `many-${at}`)));
      return made.id;
    }),
  );
  await sleep(100);
  await first.kill();
  await server.kill();
  await server.restart();
  const done = await Promise.all(ids.map((id) => persistently(() => finished(second, id))));
  expect(done.filter(({ state }) => state === JobState.SUCCEEDED)).toHaveLength(60);
  await emptied(second);
  expect((await events(second)).toSorted()).toEqual(
    ids.map((id) => `imagemesh.events.job.completed.${id} 1`).toSorted(),
  );
}, 60_000);

test('a job without a message is found and queued again; one whose deadline passes in the queue fails', async () => {
  const gateway = harness.startGateway(quick, { concurrency: 0, sweepEveryMs: 200, sweepAfterMs: 300 });
  const lost = await persistently(() => gateway.jobs.create(call, request(['a'], 'order-1')));
  const late = await gateway.jobs.create(call, {
    ...request(['a']),
    deadline: timestampFromMs(Date.now() + 1000),
  });
  const watching = finished(gateway, late.id);
  // As if the gateway had died before it queued the job, or NATS had lost the message.
  await gateway.link.call(async (connection) => {
    await (await connection.jetstreamManager()).streams.purge(JOB_STREAM);
  });
  const { error } = await watching;
  expect(error && fromStatus(error).reason).toBe('DEADLINE_EXCEEDED');
  const worker = startGateway(quick);
  expect(await persistently(() => finished(worker, lost.id))).toMatchObject({
    state: JobState.SUCCEEDED,
    attempts: 1,
  });
  await emptied(worker);
  expect((await events(worker)).toSorted()).toEqual(
    [`imagemesh.events.job.completed.${lost.id} 1`, `imagemesh.events.job.failed.${late.id} 1`].toSorted(),
  );
});
