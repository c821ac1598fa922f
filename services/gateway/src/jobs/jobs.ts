/** Jobs: made, shown, followed and run. */
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CreateJobRequest, Job } from '@imagemesh/api';
import type { EventPublisher, JobDelivery, Settlement } from '@imagemesh/events';
import type { Logger, Metrics } from '@imagemesh/observe';
import { MeshError } from '@imagemesh/rpc';
import { type CreateJobParts, createJobCreator, type JobCall } from './create-job.ts';
import { createJobMeters } from './meters.ts';
import type { JobRecord } from './record.ts';
import { type RunVariant, runJob } from './run.ts';
import { isFinal } from './transitions.ts';

export type { JobCall } from './create-job.ts';
export type { RunVariant } from './run.ts';

/** Without NATS every call is NATS_UNAVAILABLE. */
export interface Jobs {
  /** REQUEST_ID_REUSED, IMAGE_NOT_FOUND, QUEUE_FULL, and whatever checking and storing the image throws. */
  create(call: JobCall, request: CreateJobRequest): Promise<Job>;
  /** JOB_NOT_FOUND, also for a job of somebody else. */
  get(call: JobCall, jobId: string): Promise<Job>;
  /** The job now, if it changed after that sequence, and at each change; its end always, and then it ends. */
  watch(call: JobCall, jobId: string, afterSequence: bigint): AsyncIterable<Job>;
  /** Takes no more work; what runs may end, or goes back to the queue when the time is up. */
  close(graceMs: number): Promise<void>;
}

export interface JobsOptions extends Omit<CreateJobParts, 'now'> {
  readonly events: EventPublisher;
  readonly runVariant: RunVariant;
  /** Jobs that run at once in this gateway. */
  readonly concurrency: number;
  readonly log: Logger;
  /** Marks the runs of this gateway in the records. */
  readonly gatewayId: string;
  readonly metrics?: Metrics;
  readonly now?: () => number;
}

/** Of the grace period, to hand back what still runs. */
const handBackMs = 1500;

/** Begins to work at once, or as soon as NATS is there. */
export function createJobs(options: JobsOptions): Jobs {
  const { records, queue, concurrency, log, metrics, now = Date.now } = options;
  const create = createJobCreator({ ...options, now });
  const stopPulling = new AbortController();
  const stopRunning = new AbortController();
  // Each run waits for it in a few places at once.
  setMaxListeners(8 * concurrency + 10, stopRunning.signal);
  const running = new Map<string, Promise<Settlement>>();
  const onEnd = createJobMeters(metrics, { running: () => running.size, now });

  /** A job that came back while its run goes on here: that run answers for this message too. */
  function handle(delivery: JobDelivery): Promise<Settlement> {
    const { jobId } = delivery;
    const begun = running.get(jobId);
    if (begun !== undefined) return begun;
    const run = runJob({ ...options, now, onEnd }, delivery, stopRunning.signal).finally(() =>
      running.delete(jobId),
    );
    running.set(jobId, run);
    return run;
  }

  const consuming = queue.consume(handle, {
    concurrency,
    stop: stopPulling.signal,
    onError: (error) => log.error({ err: error }, 'a job could not be worked on'),
  });

  async function find(call: JobCall, jobId: string): Promise<JobRecord> {
    const record = (await records.get(jobId))?.value;
    if (record !== undefined && record.owner === call.owner) return record;
    throw new MeshError('JOB_NOT_FOUND', `there is no job ${jobId}`, {
      resource: { type: 'job', name: jobId },
    });
  }

  return {
    create,
    get: async (call, jobId) => (await find(call, jobId)).job,
    async *watch(call, jobId, afterSequence) {
      await find(call, jobId);
      for await (const { value } of records.watch(jobId, call.signal)) {
        const { job } = value;
        if (isFinal(job.state) || job.sequence > afterSequence) yield job;
        if (isFinal(job.state)) return;
      }
    },
    async close(graceMs) {
      stopPulling.abort();
      const timer = new AbortController();
      await Promise.race([
        consuming,
        sleep(Math.max(0, graceMs - handBackMs), undefined, { signal: timer.signal }).catch(() => {}),
      ]);
      timer.abort();
      stopRunning.abort(new MeshError('SHUTTING_DOWN', 'the gateway is stopping'));
      await Promise.race([consuming, sleep(Math.min(graceMs, handBackMs), undefined, { ref: false })]);
    },
  };
}

/** Where no NATS is configured. */
export function createNoJobs(): Jobs {
  const refuse = () => {
    throw new MeshError('NATS_UNAVAILABLE', 'the gateway runs without NATS, and so without jobs (NATS_URL)');
  };
  return {
    create: async () => refuse(),
    get: async () => refuse(),
    // biome-ignore lint/correctness/useYield: it only ever throws
    async *watch() {
      refuse();
    },
    close: async () => {},
  };
}
