import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { Format, JobSchema, JobState } from '@imagemesh/api';
import { newTrace } from '@imagemesh/observe';
import { MeshError, toStatus } from '@imagemesh/rpc';
import { expect, test } from 'vitest';
import type { Jobs } from '../jobs/jobs.ts';
import { createNoJobs } from '../jobs/no-jobs.ts';
import { createJobRoutes, toView } from './jobs.ts';

const id = '01ARYZ6S410000000000000000';
const image = 'ab'.repeat(32);
const call = { owner: 'anonymous', requestId: 'r', trace: newTrace(), signal: new AbortController().signal };

test('a job is shown as plain JSON, its results with where to fetch them', () => {
  const info = { format: Format.WEBP, width: 30, height: 20, sizeBytes: 900n };
  const job = create(JobSchema, {
    id,
    state: JobState.SUCCEEDED,
    sourceImageId: image,
    attempts: 1,
    results: [{ name: '0', image: { id: image, info } }],
    createTime: timestampFromMs(1_700_000_000_000),
  });
  expect(toView(job)).toEqual({
    task_id: id,
    state: 'JOB_STATE_SUCCEEDED',
    source_image_id: image,
    attempts: 1,
    results: [
      {
        name: '0',
        image_id: image,
        url: `/images/${image}`,
        format: 'webp',
        width: 30,
        height: 20,
        size_bytes: 900,
      },
    ],
    create_time: '2023-11-14T22:13:20.000Z',
  });
});

test('a failed job says why', () => {
  const error = toStatus(new MeshError('DAMAGED_IMAGE', 'it is damaged'));
  expect(toView(create(JobSchema, { id, state: JobState.FAILED, error }))).toMatchObject({
    state: 'JOB_STATE_FAILED',
    error: { code: 'invalid_argument', reason: 'DAMAGED_IMAGE', message: 'it is damaged' },
  });
});

test('what does not fit the image is named by the field of the form', async () => {
  const field = 'variants[0].operations[0].crop.width';
  const jobs: Jobs = {
    ...createNoJobs(),
    create: async () => {
      throw new MeshError('OPERATION_OUT_OF_BOUNDS', `${field}: is beyond`, {
        violations: [{ field, description: 'is beyond' }],
      });
    },
  };
  const fields = new Map(Object.entries({ image, left: '60', width: '10', height: '5' }));
  await expect(createJobRoutes(jobs).post(call, 'crop', fields)).rejects.toMatchObject({
    reason: 'OPERATION_OUT_OF_BOUNDS',
    message: 'width: is beyond',
    violations: [{ field: 'width', description: 'is beyond' }],
  });
});

test('without NATS jobs are UNAVAILABLE', async () => {
  const fields = new Map(Object.entries({ image, width: '10' }));
  await expect(createJobRoutes(createNoJobs()).post(call, 'resize', fields)).rejects.toMatchObject({
    reason: 'NATS_UNAVAILABLE',
    code: 'unavailable',
  });
});
