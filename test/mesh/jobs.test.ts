import { setTimeout as sleep } from 'node:timers/promises';
import { fromJson } from '@bufbuild/protobuf';
import { ImageService, JobEventSchema, JobService, JobState } from '@imagemesh/api';
import { createGrpcClient, type GrpcClient } from '@imagemesh/rpc';
import { quadrants, startMesh } from '@imagemesh/testkit';
import { connect } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorOf, pixelsOf } from './calls.ts';

let mesh: Awaited<ReturnType<typeof startMesh>>;
let jobs: GrpcClient<typeof JobService>;
let images: GrpcClient<typeof ImageService>;
let picture: Buffer;

beforeAll(async () => {
  mesh = await startMesh({ replicas: { resize: 1, filter: 1 }, nats: true });
  jobs = createGrpcClient(JobService, mesh.gatewayAddress);
  images = createGrpcClient(ImageService, mesh.gatewayAddress);
  picture = await quadrants({ width: 400, height: 200 });
});
afterAll(async () => {
  jobs?.close();
  images?.close();
  await mesh?.stop();
});

const inline = (value: Uint8Array) => ({ source: { case: 'data' as const, value } });

async function finished(jobId: string) {
  let last: JobState = JobState.UNSPECIFIED;
  for await (const { job } of jobs.watchJob({ jobId })) last = job?.state ?? last;
  const { job } = await jobs.getJob({ jobId });
  expect(job?.state).toBe(last);
  return job;
}

const finalEvents = /^imagemesh\.events\.job\.(?:completed|failed|cancelled)\./;

/** Keeps every event published under such a subject from now on. */
async function subscribeEvents(wanted: RegExp) {
  const connection = await connect({ servers: mesh.natsUrl });
  const received: { subject: string; event: ReturnType<typeof JSON.parse> }[] = [];
  connection.subscribe('imagemesh.events.>', {
    callback: (_error, message) => {
      if (wanted.test(message.subject)) received.push({ subject: message.subject, event: message.json() });
    },
  });
  await connection.flush();
  return { received, close: () => connection.close() };
}

describe('a job', () => {
  it('answers at once, reports progress, stores its results and ends in exactly one event', async () => {
    const events = await subscribeEvents(finalEvents);
    const { job } = await jobs.createJob({
      source: inline(picture),
      labels: { album: 'summer' },
      variants: [
        { name: 'small', operations: [{ operation: { case: 'resize', value: { width: 40, height: 20 } } }] },
        {
          name: 'soft',
          operations: [
            { operation: { case: 'resize', value: { width: 80 } } },
            { operation: { case: 'blur', value: {} } },
          ],
        },
      ],
    });
    expect(job?.state).toBe(JobState.QUEUED);
    const done = await finished(job?.id ?? '');
    expect(done?.state).toBe(JobState.SUCCEEDED);
    expect(
      done?.results.map((result) => [result.name, result.image?.info?.width, result.image?.info?.height]),
    ).toEqual([
      ['small', 40, 20],
      ['soft', 80, 40],
    ]);

    const id = done?.results[0]?.image?.id;
    const reply = await fetch(`${mesh.gatewayUrl}/images/${id}`);
    expect(reply.headers.get('content-type')).toBe('image/png');
    const { at, width, height } = await pixelsOf(new Uint8Array(await reply.arrayBuffer()));
    expect([width, height, at(5, 5), at(35, 15)]).toEqual([40, 20, [255, 0, 0], [255, 255, 0]]);

    await sleep(300);
    const mine = events.received.filter((event) => event.subject.endsWith(`.${job?.id}`));
    expect(mine.map((event) => event.subject)).toEqual([`imagemesh.events.job.completed.${job?.id}`]);
    const event = mine[0]?.event;
    expect(event).toMatchObject({
      specversion: '1.0',
      type: 'imagemesh.job.completed',
      datacontenttype: 'application/json',
    });
    const data = fromJson(JobEventSchema, event.data);
    expect(data.results.map((result) => result.imageId)).toEqual(
      done?.results.map((result) => result.image?.id),
    );
    expect(data.labels).toEqual({ album: 'summer' });
    await events.close();
  });

  it('is the same job when asked for again with its request id, and a conflict when the request differs', async () => {
    const request = {
      requestId: 'order-4711',
      source: inline(picture),
      variants: [{ operations: [{ operation: { case: 'grayscale' as const, value: {} } }] }],
    };
    const first = await jobs.createJob(request);
    const again = await jobs.createJob(request);
    expect(again.job?.id).toBe(first.job?.id);
    const error = await errorOf(jobs.createJob({ ...request, variants: [{}] }));
    expect([error.code, error.reason]).toEqual(['already_exists', 'REQUEST_ID_REUSED']);
    expect((await finished(first.job?.id ?? ''))?.state).toBe(JobState.SUCCEEDED);
  });

  it('is refused at once when its operations do not fit the image', async () => {
    const error = await errorOf(
      jobs.createJob({
        source: inline(picture),
        variants: [
          { operations: [{ operation: { case: 'crop', value: { left: 390, width: 20, height: 5 } } }] },
        ],
      }),
    );
    expect(error.code).toBe('invalid_argument');
    expect(error.violations[0]?.field).toContain('variants[0].operations[0].crop');
  });

  it('fails with the reason, in one event, when the image is damaged', async () => {
    const events = await subscribeEvents(finalEvents);
    const { job } = await jobs.createJob({
      source: inline(picture.subarray(0, picture.byteLength - 200)),
      variants: [{ operations: [{ operation: { case: 'resize', value: { width: 10 } } }] }],
    });
    const done = await finished(job?.id ?? '');
    expect(done?.state).toBe(JobState.FAILED);
    expect(done?.error?.code).toBe(3);
    const asJson = await fetch(`${mesh.gatewayUrl}/imagemesh.v1.JobService/GetJob`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jobId: job?.id }),
    });
    expect(await asJson.json()).toMatchObject({ job: { error: { details: [{ reason: 'DAMAGED_IMAGE' }] } } });
    await sleep(300);
    expect(
      events.received.filter((event) => event.subject.endsWith(`.${job?.id}`)).map((event) => event.subject),
    ).toEqual([`imagemesh.events.job.failed.${job?.id}`]);
    await events.close();
  });

  it('that is unknown is NOT_FOUND', async () => {
    const error = await errorOf(jobs.getJob({ jobId: '01ARZ3NDEKTSV4RRFFQ69G5FAV' }));
    expect([error.code, error.reason]).toEqual(['not_found', 'JOB_NOT_FOUND']);
  });
});

describe('without NATS', () => {
  it('transforms go on, jobs say UNAVAILABLE, and both work when it is back', async () => {
    await mesh.nats?.kill();
    const transformed = await images.transform({ source: inline(picture) });
    expect(transformed.info?.width).toBe(400);
    const variants = [{ operations: [{ operation: { case: 'resize' as const, value: { width: 10 } } }] }];
    const error = await errorOf(jobs.createJob({ source: inline(picture), variants }));
    expect([error.code, error.reason]).toEqual(['unavailable', 'NATS_UNAVAILABLE']);

    await mesh.nats?.restart();
    for (let attempt = 0; ; attempt++) {
      try {
        const { job } = await jobs.createJob({ source: inline(picture), variants });
        expect((await finished(job?.id ?? ''))?.state).toBe(JobState.SUCCEEDED);
        return;
      } catch (error) {
        if (attempt >= 20) throw error;
        await sleep(500);
      }
    }
  });
});
