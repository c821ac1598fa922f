import { create } from '@bufbuild/protobuf';
import { ImageSchema, JobState, VariantSchema } from '@imagemesh/api';
import { fromStatus, MeshError } from '@imagemesh/rpc';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type JobRecord, jobBucket, requestDigest, requestKey } from './record.ts';
import {
  addResult,
  begin,
  fail,
  isFinal,
  missingVariants,
  newRecord,
  putOff,
  succeed,
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
        expect(isFinal(before.job.state)).toBe(false);
        expect(record.job.sequence).toBe(before.job.sequence + 1n);
        expect(record.job.attempts).toBeGreaterThanOrEqual(0);
        expect(jobBucket.codec.decode(jobBucket.codec.encode(record))).toEqual(record);
      }
    }),
  );
});

test('a request is the same whatever the order of its labels, and another if anything else differs', () => {
  const digest = requestDigest(image.id, variants, { a: '1', b: '2' });
  expect(requestDigest(image.id, variants, { b: '2', a: '1' })).toBe(digest);
  expect(requestDigest(image.id, variants.toReversed(), { a: '1', b: '2' })).not.toBe(digest);
  expect(requestDigest(image.id, variants, { a: '2', b: '1' })).not.toBe(digest);
  expect(requestDigest('cd'.repeat(32), variants, { a: '1', b: '2' })).not.toBe(digest);
  expect(requestKey('a', 'b-c')).not.toBe(requestKey('a-b', 'c'));
});
