import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { CreateJobRequestSchema, ImageSchema, JobPriority, JobState, VariantSchema } from '@imagemesh/api';
import { fromStatus, MeshError } from '@imagemesh/rpc';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type JobRecord, jobBucket, readSummary, requestDigest, requestKey } from './record.ts';
import {
  addResult,
  begin,
  cancel,
  fail,
  isFinal,
  missingVariants,
  newRecord,
  putOff,
  retry,
  succeed,
  timeLeftMs,
} from './transitions.ts';

const image = create(ImageSchema, { id: 'ab'.repeat(32), info: { width: 3, height: 2, sizeBytes: 9n } });
const variants = ['a', 'b'].map((name) => create(VariantSchema, { name }));
const run = { token: 'gateway-1/x', message: 7 };
const refused = new MeshError('DAMAGED_IMAGE', 'the image is damaged', {
  metadata: { at: '12' },
  violations: [{ field: 'source', description: 'is damaged' }],
});

function fresh(): JobRecord {
  return newRecord({
    id: '01ARYZ6S410000000000000000',
    owner: 'anonymous',
    source: image,
    variants,
    labels: { album: 'summer' },
    priority: JobPriority.UNSPECIFIED,
    clientRequestId: 'order-1',
    requestId: 'r-1',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    nowMs: 1_700_000_000_000,
  });
}

test('a job goes from queued over running, with its results, to succeeded', () => {
  const queued = fresh();
  expect(queued.job).toMatchObject({ state: JobState.QUEUED, attempts: 0, sequence: 1n });
  const running = begin(queued, run, 1_700_000_000_500);
  expect(running.job).toMatchObject({ state: JobState.RUNNING, attempts: 1, sequence: 2n });
  expect(running.run).toEqual(run);
  const half = addResult(running, 'b', image);
  expect(missingVariants(half.job).map(({ name }) => name)).toEqual(['a']);
  expect(addResult(half, 'b', image)).toBe(half);
  expect(() => succeed(half, 1)).toThrow('without all results');
  const done = succeed(addResult(half, 'a', image), 1_700_000_001_000);
  expect(done.job).toMatchObject({ state: JobState.SUCCEEDED, sequence: 5n });
  expect(done.job.results.map(({ name }) => name)).toEqual(['b', 'a']);
  expect(queued.job.results).toEqual([]);
});

test('an attempt that was none is not counted', () => {
  const running = begin(fresh(), run, 0);
  expect(putOff(running, true).job.attempts).toBe(1);
  expect(putOff(running, false).job.attempts).toBe(0);
  expect(putOff(running, false).waits).toBe(1);
  expect(putOff(begin(putOff(running, false), run, 0), true).waits).toBe(0);
});

test('a failed job keeps its error, also through the store', () => {
  const failed = fail(begin(fresh(), run, 0), refused, 1_700_000_002_000);
  const kept = jobBucket.codec.decode(jobBucket.codec.encode(failed));
  expect(kept).toEqual(failed);
  expect(kept.job.error && fromStatus(kept.job.error)).toMatchObject({
    reason: 'DAMAGED_IMAGE',
    metadata: refused.metadata,
    violations: refused.violations,
  });
});

test('whatever is tried in whatever order, the sequence grows by one a change and an end is an end', () => {
  const steps: readonly ((record: JobRecord) => JobRecord)[] = [
    (record) => begin(record, run, 0),
    (record) => addResult(record, 'a', image),
    (record) => addResult(record, 'b', image),
    (record) => putOff(record, true),
    (record) => putOff(record, false),
    (record) => succeed(record, 0),
    (record) => fail(record, refused, 0),
    (record) => cancel(record, 0),
    retry,
  ];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...steps), { maxLength: 30 }), (tried) => {
      let record = fresh();
      for (const step of tried) {
        const before = record;
        try {
          record = step(before);
        } catch (error) {
          expect(error).toBeInstanceOf(MeshError);
          continue;
        }
        if (record === before) continue;
        expect(isFinal(before.job.state)).toBe(step === retry);
        expect(record.job.sequence).toBe(before.job.sequence + 1n);
        expect(record.job.attempts).toBeGreaterThanOrEqual(0);
        expect(jobBucket.codec.decode(jobBucket.codec.encode(record))).toEqual(record);
      }
    }),
  );
});

test('a retry is a new life: what was done is kept, the error and the deadline are gone', () => {
  const late = { ...fresh(), waits: 3 };
  late.job.deadline = timestampFromMs(1_700_000_009_000);
  expect(timeLeftMs(late.job, 1_700_000_010_000)).toBe(-1000);
  const failed = fail(addResult(begin(late, run, 0), 'a', image), refused, 1_700_000_010_000);
  const again = retry(failed);
  expect(again.job).toMatchObject({ state: JobState.QUEUED, attempts: 0, retries: 1, sequence: 5n });
  expect(again.job.results.map(({ name }) => name)).toEqual(['a']);
  expect([again.job.error, again.job.deadline, again.job.endTime, again.run]).toEqual(
    Array(4).fill(undefined),
  );
  expect(again.waits).toBe(0);
  expect(retry(cancel(again, 1)).job.retries).toBe(2);
  expect(() => retry(again)).toThrow('cannot be retried in JOB_STATE_QUEUED');
});

test('a request is the same whatever the order of its labels, and another if anything else differs', () => {
  const request = (
    labels: Record<string, string>,
    rest: MessageInitShape<typeof CreateJobRequestSchema> = {},
  ) => create(CreateJobRequestSchema, { labels, ...rest });
  const ab = request({ a: '1', b: '2' });
  const digest = requestDigest(image.id, variants, ab);
  expect(requestDigest(image.id, variants, request({ b: '2', a: '1' }))).toBe(digest);
  expect(requestDigest(image.id, variants.toReversed(), ab)).not.toBe(digest);
  expect(requestDigest(image.id, variants, request({ a: '2', b: '1' }))).not.toBe(digest);
  expect(requestDigest('cd'.repeat(32), variants, ab)).not.toBe(digest);
  for (const other of [{ priority: JobPriority.HIGH }, { deadline: timestampFromMs(1) }])
    expect(requestDigest(image.id, variants, request(ab.labels, other))).not.toBe(digest);
  expect(requestKey('a', 'b-c')).not.toBe(requestKey('a-b', 'c'));
});

test('what lists need of a job can be read without the rest', () => {
  const record = fresh();
  record.job.deadline = timestampFromMs(1_700_000_009_000);
  expect(readSummary(jobBucket.codec.encode(record))).toEqual({
    owner: 'anonymous',
    images: [record.source.id],
    state: JobState.QUEUED,
    labels: { album: 'summer' },
    deadlineMs: 1_700_000_009_000,
  });
});
