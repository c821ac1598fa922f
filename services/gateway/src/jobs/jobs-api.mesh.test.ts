/** Lists, cancels, retries and watches against a real nats-server. Longer than most: every test needs the same two gateways. */
import { setTimeout as sleep } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { JobPriority, JobState, ListJobsRequestSchema, WatchJobsRequestSchema } from '@imagemesh/api';
import { fromStatus, MeshError } from '@imagemesh/rpc';
import { startNats, type TestNats } from '@imagemesh/testkit';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { everybody } from '../identity/caller.ts';
import {
  call,
  createJobHarness,
  emptied,
  events,
  finished,
  type JobHarness,
  persistently,
  quick,
  request,
  type TestGateway,
} from '../testing/job-harness.ts';
import type { RunVariant } from './jobs.ts';

let server: TestNats;
let harness: JobHarness;
let gateway: TestGateway;
let other: TestGateway;

/** Variants called "held…" wait for `release`, or for the end of their signal; those called "broken…" fail. */
let release: () => void = () => {};
let held = Promise.resolve();
const ran: string[] = [];
const stopped: string[] = [];
const run: RunVariant = async (at, source, variant) => {
  const { name } = variant;
  ran.push(name);
  if (name.startsWith('broken')) throw new MeshError('DAMAGED_IMAGE', 'it is damaged');
  if (name.startsWith('held')) {
    const aborted = new Promise<never>((_, reject) =>
      at.signal.addEventListener('abort', () => {
        stopped.push(name);
        reject(at.signal.reason);
      }),
    );
    await Promise.race([held, aborted]);
  }
  return quick(at, source, variant);
};

beforeAll(async () => {
  server = await startNats();
  harness = createJobHarness(server.url);
  gateway = harness.startGateway(run, { concurrency: 1 });
  other = harness.startGateway(run, { concurrency: 1 });
  hold();
  await persistently(() => gateway.jobs.list(call, create(ListJobsRequestSchema)));
});

afterEach(() => {
  release();
  ran.length = 0;
  stopped.length = 0;
  hold();
});

afterAll(async () => {
  release();
  await harness?.stop();
  await server?.stop();
});

function hold(): void {
  held = new Promise<void>((resolve) => {
    release = resolve;
  });
}

const make = (names: readonly string[], album: string, rest: Partial<ReturnType<typeof request>> = {}) =>
  gateway.jobs.create(call, { ...request(names, '', { album }), ...rest });

async function pages(of: TestGateway, filter: { album: string; states?: JobState[]; pageSize?: number }) {
  const { album, states = [], pageSize = 0 } = filter;
  const found: string[][] = [];
  let pageToken = '';
  do {
    const asked = create(ListJobsRequestSchema, { labels: { album }, states, pageSize, pageToken });
    const page = await of.jobs.list(call, asked);
    found.push(page.jobs.map(({ id }) => id));
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return found;
}

async function reaches(id: string, state: JobState): Promise<void> {
  await persistently(async () => expect((await gateway.jobs.get(call, id)).state).toBe(state));
}

test('jobs are listed newest first, in pages, by any gateway, and only to their owner', async () => {
  const ids: string[] = [];
  for (let at = 0; at < 7; at += 1) ids.push((await make(['a'], 'list')).id);
  const newest = ids.toReversed();
  expect(await pages(other, { album: 'list', pageSize: 3 })).toEqual([
    newest.slice(0, 3),
    newest.slice(3, 6),
    newest.slice(6),
  ]);
  for (const id of ids) await finished(gateway, id);
  expect((await pages(gateway, { album: 'list', states: [JobState.SUCCEEDED] })).flat()).toEqual(newest);
  expect((await pages(gateway, { album: 'list', states: [JobState.FAILED] })).flat()).toEqual([]);
  const stranger = { ...call, owner: 'other' };
  expect((await gateway.jobs.list(stranger, create(ListJobsRequestSchema))).jobs).toEqual([]);
  for (const change of ['cancel', 'retry'] as const)
    await expect(gateway.jobs[change](stranger, ids[0] ?? '')).rejects.toMatchObject({
      reason: 'JOB_NOT_FOUND',
    });
});

test('an admin lists the jobs of one owner or of all, each with whose it is; others are refused', async () => {
  const labels = { album: 'owners' };
  const mine = await make(['a'], 'owners');
  const theirs = await gateway.jobs.create({ ...call, owner: 'bob' }, request(['a'], '', labels));
  const admin = { ...call, owner: 'boss', caller: { ...everybody, owner: 'boss' } };
  const listed = async (owner: string, of: typeof call = admin, pageSize = 0) => {
    const page = await other.jobs.list(of, create(ListJobsRequestSchema, { labels, owner, pageSize }));
    return { ...page, jobs: page.jobs.map((job) => [job.id, job.owner]) };
  };
  expect((await listed('*')).jobs).toEqual([
    [theirs.id, 'bob'],
    [mine.id, 'anonymous'],
  ]);
  expect((await listed('bob')).jobs).toEqual([[theirs.id, 'bob']]);
  expect((await listed('')).jobs).toEqual([]);
  expect((await listed('nobody')).jobs).toEqual([]);

  const { nextPageToken: pageToken } = await listed('*', admin, 1);
  const next = (owner: string) =>
    other.jobs.list(admin, create(ListJobsRequestSchema, { labels, owner, pageToken }));
  expect((await next('*')).jobs.map(({ id }) => id)).toEqual([mine.id]);
  await expect(next('bob')).rejects.toMatchObject({ reason: 'INVALID_REQUEST' });

  const bob = {
    ...admin,
    owner: 'bob',
    caller: { ...everybody, owner: 'bob', scopes: new Set(['jobs'] as const) },
  };
  expect((await listed('bob', bob)).jobs).toEqual([[theirs.id, 'bob']]);
  for (const owner of ['*', 'anonymous', 'nobody'])
    await expect(listed(owner, bob)).rejects.toMatchObject({
      reason: 'SCOPE_MISSING',
      metadata: { scope: 'admin', scopes: 'jobs' },
    });
});

test('a page of large jobs ends before gRPC clients refuse it, and a job that is too large is refused', async () => {
  const names = Array.from({ length: 30 }, (_, at) => `held-${at}-${'x'.repeat(8000)}`);
  const ids: string[] = [];
  for (let at = 0; at < 14; at += 1) ids.push((await make(names, 'large')).id);
  const found = await pages(gateway, { album: 'large' });
  expect(found.length).toBe(2);
  expect(found.flat()).toEqual(ids.toReversed());
  for (const id of ids) await gateway.jobs.cancel(call, id);
  await expect(make([...names, ...names.map((name) => `${name}y`)], 'large')).rejects.toMatchObject({
    reason: 'INVALID_REQUEST',
  });
});

test('a page token is of one list only', async () => {
  for (let at = 0; at < 2; at += 1) await make(['a'], 'tokens');
  const first = await gateway.jobs.list(
    call,
    create(ListJobsRequestSchema, { pageSize: 1, labels: { album: 'tokens' } }),
  );
  const { nextPageToken: pageToken } = first;
  expect(pageToken).not.toBe('');
  for (const bad of [
    { pageToken, labels: { album: 'others' } },
    { pageToken, labels: { album: 'tokens' }, states: [JobState.QUEUED] },
    { pageToken: `${pageToken.slice(0, -2)}`, labels: { album: 'tokens' } },
    { pageToken: 'nonsense' },
  ]) {
    await expect(gateway.jobs.list(call, create(ListJobsRequestSchema, bad))).rejects.toMatchObject({
      reason: 'INVALID_REQUEST',
    });
  }
});

test('a running job is cancelled: its work stops, its message goes, and that is one event', async () => {
  const { id } = await make(['held'], 'cancel-running');
  await reaches(id, JobState.RUNNING);
  await persistently(async () => expect(ran).toContain('held'));
  expect((await other.jobs.cancel(call, id)).state).toBe(JobState.CANCELLED);
  await persistently(async () => expect(stopped).toContain('held'));
  await emptied(gateway);
  expect((await gateway.jobs.cancel(call, id)).state).toBe(JobState.CANCELLED);
  expect((await events(gateway)).filter((event) => event.includes(id))).toEqual([
    `imagemesh.events.job.cancelled.${id} 1`,
  ]);
});

test('a queued job is cancelled before it runs, a finished one is a conflict, one that is just ending is either', async () => {
  const busy = await Promise.all(
    ['held-1', 'held-2', 'held-3', 'held-4'].map((name) => make([name], 'busy')),
  );
  await persistently(async () => expect(ran.length).toBeGreaterThanOrEqual(2));
  const waiting = await make(['never'], 'cancel-queued');
  if ((await gateway.jobs.get(call, waiting.id)).state === JobState.QUEUED) {
    expect((await gateway.jobs.cancel(call, waiting.id)).state).toBe(JobState.CANCELLED);
    release();
    for (const { id } of busy) await finished(gateway, id);
    await emptied(gateway);
    expect(ran).not.toContain('never');
  }
  release();
  const done = await finished(gateway, busy[0]?.id ?? '');
  await expect(gateway.jobs.cancel(call, done.id)).rejects.toMatchObject({
    reason: 'JOB_CONFLICT',
    code: 'aborted',
  });

  for (let at = 0; at < 5; at += 1) {
    const { id } = await make(['quick', 'too'], 'cancel-ending');
    await sleep(at * 3);
    const answer = await gateway.jobs.cancel(call, id).catch((error: unknown) => error);
    const { state } = await finished(gateway, id);
    if (answer instanceof MeshError)
      expect([answer.reason, state]).toEqual(['JOB_CONFLICT', JobState.SUCCEEDED]);
    else expect(state).toBe(JobState.CANCELLED);
    await emptied(gateway);
    const verb = state === JobState.CANCELLED ? 'cancelled' : 'completed';
    expect((await events(gateway)).filter((event) => event.includes(id))).toEqual([
      `imagemesh.events.job.${verb}.${id} 1`,
    ]);
  }
});

test('a failed job stays in the list until it is retried, then runs once more and ends in an event of its own', async () => {
  const { id } = await make(['fine', 'broken'], 'retry');
  const failed = await finished(gateway, id);
  expect(failed.state).toBe(JobState.FAILED);
  expect((await pages(gateway, { album: 'retry', states: [JobState.FAILED] })).flat()).toEqual([id]);
  const again = await other.jobs.retry(call, id);
  expect(again).toMatchObject({ state: JobState.QUEUED, attempts: 0, retries: 1 });
  expect(again.error).toBeUndefined();
  await reaches(id, JobState.FAILED);
  await emptied(gateway);
  expect(ran.filter((name) => name === 'broken')).toHaveLength(2);
  expect((await events(gateway)).filter((event) => event.includes(id)).toSorted()).toEqual([
    `imagemesh.events.job.failed.${id} 1`,
    `imagemesh.events.job.failed.${id}-1 1`,
  ]);
  const fine = await make(['fine'], 'retry');
  await finished(gateway, fine.id);
  await expect(gateway.jobs.retry(call, fine.id)).rejects.toMatchObject({ reason: 'JOB_CONFLICT' });
});

test('a job whose deadline passes fails, running or not; a deadline in the past is refused', async () => {
  const soon = () => ({ deadline: timestampFromMs(Date.now() + 700) });
  const running = await make(['held'], 'late', soon());
  const late = await finished(gateway, running.id);
  expect(late.state).toBe(JobState.FAILED);
  expect(late.error && fromStatus(late.error).reason).toBe('DEADLINE_EXCEEDED');
  await expect(make(['a'], 'late', { deadline: timestampFromMs(1) })).rejects.toMatchObject({
    reason: 'INVALID_REQUEST',
  });
});

test('jobs of a higher priority run first', async () => {
  const busy = await Promise.all(
    ['held-1', 'held-2', 'held-3', 'held-4'].map((name) => make([name], 'busy')),
  );
  await persistently(async () => expect(ran.length).toBeGreaterThanOrEqual(2));
  const low = await make(['low'], 'priority', { priority: JobPriority.LOW });
  const lower = await make(['lower'], 'priority', { priority: JobPriority.LOW });
  const high = await make(['high'], 'priority', { priority: JobPriority.HIGH });
  expect([low.priority, high.priority, busy[0]?.priority]).toEqual([
    JobPriority.LOW,
    JobPriority.HIGH,
    JobPriority.NORMAL,
  ]);
  release();
  for (const { id } of [low, lower, high, ...busy]) await finished(gateway, id);
  expect(ran.indexOf('high')).toBeLessThan(ran.indexOf('lower'));
});

test('several jobs are followed in one stream, which can be resumed', async () => {
  const ids: string[] = [];
  for (const name of ['a', 'held-b']) ids.push((await make([name], 'watch')).id);
  await finished(gateway, ids[0] ?? '');
  const seen: [string, JobState][] = [];
  let revision = 0n;
  for await (const next of other.jobs.watchMany(call, create(WatchJobsRequestSchema, { jobIds: ids }))) {
    seen.push([next.job?.id ?? '', next.job?.state ?? 0]);
    expect(next.revision).toBeGreaterThanOrEqual(revision);
    revision = next.revision;
    if (next.job?.state === JobState.RUNNING) release();
  }
  expect(seen).toContainEqual([ids[0], JobState.SUCCEEDED]);
  expect(seen.at(-1)).toEqual([ids[1], JobState.SUCCEEDED]);

  const ending = new AbortController();
  const all = other.jobs.watchMany(
    { ...call, signal: ending.signal },
    create(WatchJobsRequestSchema, { labels: { album: 'watch' }, afterRevision: revision }),
  );
  const created = make(['c'], 'watch');
  const later: string[] = [];
  for await (const { job } of all) {
    later.push(job?.id ?? '');
    if (job?.state === JobState.SUCCEEDED) ending.abort();
  }
  expect(new Set(later)).toEqual(new Set([(await created).id]));
  const asked = create(WatchJobsRequestSchema, { jobIds: ['01ARZ3NDEKTSV4RRFFQ69G5FAV'] });
  await expect(async () => {
    for await (const _ of gateway.jobs.watchMany(call, asked));
  }).rejects.toMatchObject({ reason: 'JOB_NOT_FOUND' });
});
