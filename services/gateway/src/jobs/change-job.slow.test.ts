/** Changes of a record that somebody else changes at the same time, in a real bucket. */
import { create } from '@bufbuild/protobuf';
import { JobPriority, JobState, VariantSchema } from '@imagemesh/api';
import { connectNats, createJobQueue, createNoEvents, type NatsLink } from '@imagemesh/events';
import { createLogger, newTrace } from '@imagemesh/observe';
import { createUlids, openNatsRecords, type RecordStore } from '@imagemesh/store';
import { startNats, type TestNats } from '@imagemesh/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { toImage } from '../testing/job-harness.ts';
import { cancelJob } from './change-job.ts';
import { type JobRecord, jobBucket } from './record.ts';
import { begin, newRecord, putOff } from './transitions.ts';

const log = createLogger({ name: 'test', level: 'silent' });
const call = {
  owner: 'alice',
  requestId: 'request-1',
  trace: newTrace(),
  signal: new AbortController().signal,
};

let server: TestNats;
let link: NatsLink;
let records: RecordStore<JobRecord>;

beforeAll(async () => {
  server = await startNats();
  link = connectNats({ url: server.url, name: 'test', log });
  records = openNatsRecords(link, jobBucket);
});
afterAll(async () => {
  await link?.close();
  await server?.stop();
});

/** A job of alice's, in the bucket. */
async function recorded(): Promise<string> {
  const id = nextId();
  const record = newRecord({
    id,
    owner: call.owner,
    source: toImage('picture'),
    variants: [create(VariantSchema, { name: 'small' })],
    labels: {},
    priority: JobPriority.UNSPECIFIED,
    clientRequestId: '',
    requestId: call.requestId,
    traceparent: '',
    nowMs: Date.now(),
  });
  expect(await records.create(id, record)).toBeGreaterThan(0);
  return id;
}
const nextId = createUlids();

/** Another run changes the record before each of the first writes, and is counted. */
function contended(times: number) {
  let writes = 0;
  const contendedRecords: RecordStore<JobRecord> = {
    ...records,
    async update(key, value, revision) {
      const there = await records.get(key);
      if (writes < times && there !== undefined) {
        writes += 1;
        const run = { token: `gateway-9/${writes}`, message: writes };
        const { value: record } = there;
        const next = record.job.state === JobState.QUEUED ? begin(record, run, 0) : putOff(record, false);
        expect(await records.update(key, next, there.revision)).toBeGreaterThan(revision);
      }
      return records.update(key, value, revision);
    },
  };
  return {
    parts: {
      records: contendedRecords,
      queue: createJobQueue(link),
      events: createNoEvents(),
      onEnd: () => {},
      now: Date.now,
    },
    count: () => writes,
  };
}

test('a write at a revision that has passed changes nothing', async () => {
  const id = await recorded();
  const first = await records.get(id);
  if (first === undefined) throw new Error('the record is not there');
  const run = { token: 'gateway-1/x', message: 1 };
  const later = await records.update(id, begin(first.value, run, 0), first.revision);
  expect(later).toBeGreaterThan(first.revision);
  expect(await records.update(id, first.value, first.revision)).toBeUndefined();
  expect(await records.create(id, first.value)).toBeUndefined();
  expect(await records.get(id)).toMatchObject({ revision: later, value: { run } });
});

test('a job that others change meanwhile is cancelled all the same, from what it is by then', async () => {
  const id = await recorded();
  const { parts, count } = contended(3);
  const job = await cancelJob(parts, call, id);
  expect([job.state, count()]).toEqual([JobState.CANCELLED, 3]);
  // Three changes of the others and one of its own.
  expect(job.sequence).toBe(5n);
  expect((await records.get(id))?.value.job).toMatchObject({ state: JobState.CANCELLED, sequence: 5n });
});

test('one that keeps changing is ABORTED with JOB_CONFLICT, and as the others left it', async () => {
  const id = await recorded();
  const { parts } = contended(1000);
  await expect(cancelJob(parts, call, id)).rejects.toMatchObject({ code: 'aborted', reason: 'JOB_CONFLICT' });
  expect((await records.get(id))?.value.job.state).not.toBe(JobState.CANCELLED);
});
