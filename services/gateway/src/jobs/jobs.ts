/** Jobs: made, shown, listed, changed, followed and run. */
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type CreateJobRequest,
  type Job,
  JobState,
  type ListJobsRequest,
  type ListJobsResponse,
  type WatchJobsRequest,
  type WatchJobsResponse,
} from '@imagemesh/api';
import type { EventPublisher, JobDelivery, RunCheck, Settlement } from '@imagemesh/events';
import type { Logger, Metrics } from '@imagemesh/observe';
import { MeshError } from '@imagemesh/rpc';
import { cancelJob, findJob, retryJob } from './change-job.ts';
import { type CreateJobParts, createJobCreator, type JobCall } from './create-job.ts';
import { createJobIndex } from './job-index.ts';
import { listJobs } from './list-jobs.ts';
import { createJobMeters } from './meters.ts';
import { createNewRecords } from './new-records.ts';
import { type RunVariant, runJob } from './run.ts';
import { createFindResult, type FindResult } from './run-once.ts';
import { keepSweepingJobs } from './sweep-jobs.ts';
import { watchJob, watchJobs } from './watch-jobs.ts';

export type { JobCall } from './create-job.ts';
export type { RunVariant } from './run.ts';

/** Each caller lists its own jobs only, and by their ids finds no others, unless it is an admin. Without NATS every call is NATS_UNAVAILABLE. */
export interface Jobs {
  /** REQUEST_ID_REUSED, IMAGE_NOT_FOUND, QUEUE_FULL, and whatever checking and storing the image throws. */
  create(call: JobCall, request: CreateJobRequest): Promise<Job>;
  /** JOB_NOT_FOUND, also for a job of somebody else. */
  get(call: JobCall, jobId: string): Promise<Job>;
  /** INVALID_REQUEST for a page token of another list. */
  list(call: JobCall, request: ListJobsRequest): Promise<ListJobsResponse>;
  /** JOB_NOT_FOUND; JOB_CONFLICT for a job that has succeeded or failed. */
  cancel(call: JobCall, jobId: string): Promise<Job>;
  /** JOB_NOT_FOUND; JOB_CONFLICT unless it has failed or was cancelled. */
  retry(call: JobCall, jobId: string): Promise<Job>;
  /** The job now, if it changed after that sequence, and at each change; its end always, and then it ends. */
  watch(call: JobCall, jobId: string, afterSequence: bigint): AsyncIterable<Job>;
  /** JOB_NOT_FOUND. Ends with the last of the jobs if they are named. */
  watchMany(call: JobCall, request: WatchJobsRequest): AsyncIterable<WatchJobsResponse>;
  /** Images that jobs need which have not ended, anyone's. */
  neededImages(): Promise<ReadonlySet<string>>;
  /** Takes no more work; what runs may end, or goes back to the queue when the time is up. */
  close(graceMs: number): Promise<void>;
}

export interface JobsOptions extends Omit<CreateJobParts, 'newRecords' | 'now'> {
  readonly events: EventPublisher;
  /** What runs variants, given what finds results that jobs have. */
  readonly openRunVariant: (findResult: FindResult) => RunVariant;
  /** Jobs that may run in this gateway now, given that so many do. */
  readonly limit: (running: number) => number;
  readonly log: Logger;
  /** Marks the runs of this gateway in the records. */
  readonly gatewayId: string;
  /** Asks other gateways for their runs, and answers for this one. */
  readonly openRunCheck: (hasRun: (token: string) => boolean) => RunCheck;
  readonly metrics?: Metrics;
  /** As in SweepParts. */
  readonly sweepEveryMs?: number;
  readonly sweepAfterMs?: number;
  readonly now?: () => number;
}

/** Of the grace period, to hand back what still runs. */
const handBackMs = 1500;
/** Watches open at once. */
const maxWatches = 1024;
/** Listeners that a signal may have: each run waits for it in a few places at once. */
const maxSignalListeners = 4096;

/** Begins to work at once, or as soon as NATS is there. */
export function createJobs(options: JobsOptions): Jobs {
  const { records, queue, limit, log, metrics, now = Date.now } = options;
  const newRecords = createNewRecords();
  const create = createJobCreator({ ...options, newRecords, now });
  const stopPulling = new AbortController();
  const stopRunning = new AbortController();
  setMaxListeners(maxSignalListeners, stopPulling.signal, stopRunning.signal);
  const running = new Map<string, Promise<Settlement>>();
  const onEnd = createJobMeters(metrics, { running: () => running.size, now });
  const index = createJobIndex(records, { signal: stopRunning.signal, now });
  const tokens = new Set<string>();
  const runCheck = options.openRunCheck((token) => tokens.has(token));
  const runVariant = options.openRunVariant(createFindResult(index, records));
  const parts = { ...options, newRecords, index, tokens, runCheck, runVariant, onEnd, now };

  /** A job that came back while its run goes on here: that run answers for this message too. */
  function handle(delivery: JobDelivery): Promise<Settlement> {
    const { jobId } = delivery;
    const begun = running.get(jobId);
    if (begun !== undefined) return begun;
    const run = runUntilCancelled(delivery).finally(() => running.delete(jobId));
    running.set(jobId, run);
    return run;
  }

  async function runUntilCancelled(delivery: JobDelivery): Promise<Settlement> {
    const cancelled = new AbortController();
    const unlisten = index.listen(delivery.jobId, {
      changed({ state }) {
        if (state === JobState.CANCELLED)
          cancelled.abort(new MeshError('CANCELLED', 'the job was cancelled by its owner'));
      },
      lost: () => {},
    });
    try {
      return await runJob(parts, delivery, AbortSignal.any([stopRunning.signal, cancelled.signal]));
    } finally {
      unlisten();
    }
  }

  let watches = 0;
  async function* counted<Item>(watch: AsyncIterable<Item>): AsyncIterable<Item> {
    if (watches >= maxWatches)
      throw new MeshError('QUEUE_FULL', `${maxWatches} watches are open, the most there may be`);
    watches += 1;
    try {
      yield* watch;
    } finally {
      watches -= 1;
    }
  }

  const consuming = queue.consume(handle, {
    limit: () => limit(running.size),
    stop: stopPulling.signal,
    onError: (error) => log.error({ err: error }, 'a job could not be worked on'),
  });

  void keepSweepingJobs(parts, stopPulling.signal);

  return {
    create,
    get: async (call, jobId) => (await findJob(records, call, jobId)).value.job,
    list: (call, request) => listJobs(parts, call, request),
    cancel: (call, jobId) => cancelJob(parts, call, jobId),
    retry: (call, jobId) => retryJob(parts, call, jobId),
    watch: (call, jobId, afterSequence) => counted(watchJob(parts, call, jobId, afterSequence)),
    watchMany: (call, request) => counted(watchJobs(parts, call, request)),
    async neededImages() {
      await index.caughtUp();
      return new Set([...index.open()].flatMap(({ images = [] }) => images));
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
