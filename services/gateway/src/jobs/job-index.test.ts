import { create } from '@bufbuild/protobuf';
import { ImageSchema, JobPriority, JobState, VariantSchema } from '@imagemesh/api';
import { createUlids, type Follower } from '@imagemesh/store';
import { seededRandom } from '@imagemesh/testkit';
import { expect, test } from 'vitest';
import { createJobIndex } from './job-index.ts';
import { type JobRecord, jobBucket, jobTtlMs } from './record.ts';
import { addResult, begin, cancel, newRecord } from './transitions.ts';

const startMs = 1_700_000_000_000;
const source = create(ImageSchema, { id: 'ab'.repeat(32) });
const variants = ['a', 'b'].map((name, at) =>
  create(VariantSchema, { name, operations: [{ operation: { case: 'resize', value: { width: at + 1 } } }] }),
);
const all = (owner: string) => ({ owner, states: [], labels: {} });

function createFixture() {
  let nowMs = startMs;
  let revision = 0;
  let follower: Follower<JobRecord> | undefined;
  const random = seededRandom(7);
  const nextId = createUlids(
    () => nowMs,
    (count) => Uint8Array.from({ length: count }, () => Math.floor(random() * 256)),
  );
  const index = createJobIndex(
    {
      follow(given) {
        follower = given;
        return { caughtUp: async () => {} };
      },
    },
    { signal: new AbortController().signal, now: () => nowMs },
  );
  function write(record: JobRecord): JobRecord {
    const bytes = jobBucket.codec.encode(record);
    const decode = () => jobBucket.codec.decode(bytes);
    revision += 1;
    follower?.change({ key: record.job.id, revision, bytes, timeMs: nowMs, decode });
    return record;
  }
  function make(owner: string, labels: Record<string, string> = {}, id = nextId()): JobRecord {
    const given = { clientRequestId: '', requestId: '', traceparent: '', nowMs };
    return newRecord({ ...given, id, owner, labels, source, variants, priority: JobPriority.NORMAL });
  }
  const advance = (ms: number) => {
    nowMs += ms;
  };
  return { index, write, make, advance, nextId, reset: () => follower?.reset() };
}

test('pages are newest first, each job once, also when a gateway with a late clock adds one', () => {
  const { index, write, make, nextId, advance } = createFixture();
  const early = nextId();
  const ids = Array.from({ length: 25 }, () => {
    advance(5);
    return write(make('ann')).job.id;
  });
  write(make('ann', {}, early));
  write(make('bob'));
  const seen: string[] = [];
  let before: string | undefined;
  do {
    const { jobs, next } = index.page(all('ann'), before, 10);
    seen.push(...jobs.map(({ id }) => id));
    before = next;
  } while (before !== undefined);
  expect(seen).toEqual([early, ...ids].toReversed());
  expect(index.page(all('eve'), undefined, 10)).toEqual({ jobs: [], next: undefined });
});

test('everybody’s jobs are in one list too, in the same order, and leave it with the time', () => {
  const { index, write, make, advance, reset } = createFixture();
  const ids = Array.from({ length: 9 }, (_, at) => {
    advance(5);
    return write(make(['ann', 'bob', 'eve'][at % 3] ?? '')).job.id;
  });
  const everybody = { owner: undefined, states: [], labels: {} };
  const first = index.page(everybody, undefined, 5);
  const second = index.page(everybody, first.next, 5);
  expect([...first.jobs, ...second.jobs].map(({ id }) => id)).toEqual(ids.toReversed());
  expect(second.next).toBeUndefined();
  expect(index.all(everybody)).toHaveLength(9);
  advance(jobTtlMs + 1);
  const young = write(make('ann'));
  expect(index.all(all('ann')).map(({ id }) => id)).not.toContain(ids[0]);
  expect(index.all(everybody).map(({ id }) => id)).not.toContain(ids[0]);
  expect(index.page(everybody, undefined, 1).jobs.map(({ id }) => id)).toEqual([young.job.id]);
  reset();
  expect(index.page(everybody, undefined, 5)).toEqual({ jobs: [], next: undefined });
});

test('states and labels filter, and a job is found by what it is now', () => {
  const { index, write, make } = createFixture();
  const first = write(make('ann', { album: 'summer', year: '25' }));
  const second = write(make('ann', { album: 'winter' }));
  const find = (states: JobState[], labels: Record<string, string> = {}) =>
    index.page({ owner: 'ann', states, labels }, undefined, 10).jobs.map(({ id }) => id);
  expect(find([], { album: 'summer' })).toEqual([first.job.id]);
  expect(find([], { album: 'summer', year: '24' })).toEqual([]);
  expect(find([], { constructor: 'x' })).toEqual([]);
  expect([...index.open()]).toHaveLength(2);
  write(cancel(begin(second, { token: 'x', message: 1 }, startMs), startMs));
  expect(find([JobState.QUEUED])).toEqual([first.job.id]);
  expect(find([JobState.CANCELLED, JobState.FAILED])).toEqual([second.job.id]);
  expect([...index.open()].map(({ id }) => id)).toEqual([first.job.id]);
});

test('a page of what is hardly there stops after 20,000 jobs and says where', () => {
  const { index, write, make, advance } = createFixture();
  const wanted = write(make('ann', { album: 'summer' }));
  const other = make('ann');
  for (let made = 0; made < 20_000; made += 1) {
    advance(1);
    write({ ...other, job: { ...other.job, id: make('ann').job.id } });
  }
  const filter = { owner: 'ann', states: [], labels: { album: 'summer' } };
  const first = index.page(filter, undefined, 10);
  expect(first.jobs).toEqual([]);
  const second = index.page(filter, first.next, 10);
  expect(second.jobs.map(({ id }) => id)).toEqual([wanted.job.id]);
  expect(second.next).toBeUndefined();
});

test('jobs whose time is over leave as others come, and all of them when the server lost its data', () => {
  const { index, write, make, advance, reset } = createFixture();
  const old = write(make('ann'));
  advance(jobTtlMs + 1);
  const young = write(make('ann'));
  expect(index.find(old.job.id)).toBeUndefined();
  expect(index.all(all('ann')).map(({ id }) => id)).toEqual([young.job.id]);
  reset();
  expect(index.all(all('ann'))).toEqual([]);
  expect([...index.open()]).toEqual([]);
});

test('work is found by the last job that has a result of it, as long as that job is known', () => {
  const { index, write, make, advance, reset } = createFixture();
  const finish = (record: JobRecord) =>
    write(addResult(begin(record, { token: 'x', message: 1 }, startMs), 'b', source));
  const first = write(make('ann'));
  const [undone = '', done = ''] = first.work ?? [];
  expect(index.findWork(done)).toBeUndefined();
  finish(first);
  expect(index.findWork(done)).toBe(first.job.id);
  expect(index.findWork(undone)).toBeUndefined();
  advance(jobTtlMs / 2);
  const second = finish(make('ann'));
  expect(index.findWork(done)).toBe(second.job.id);
  advance(jobTtlMs / 2 + 1);
  write(make('ann'));
  expect(index.find(first.job.id)).toBeUndefined();
  expect(index.findWork(done)).toBe(second.job.id);
  reset();
  expect(index.findWork(done)).toBeUndefined();
});
