/**
 * The life of a job. Pure: a record in, the next record out, its sequence one higher.
 *
 *     QUEUED ──begin──► RUNNING ──succeed──► SUCCEEDED
 *      ▲  ▲                │ │ │
 *      │  └────putOff──────┘ │ └──cancel──► CANCELLED ─┐     (fail and cancel also from QUEUED)
 *      │                     └──fail──► FAILED ────────┤
 *      └────────────────────retry──────────────────────┘
 *
 * `begin` in RUNNING takes the job over from a run that is thought dead.
 */
import { create } from '@bufbuild/protobuf';
import { type Timestamp, timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import {
  type Image,
  type Job,
  JobPriority,
  JobSchema,
  JobState,
  JobStateSchema,
  type Variant,
  VariantResultSchema,
} from '@imagemesh/api';
import { MeshError, toStatus } from '@imagemesh/rpc';
import type { JobRecord, JobRun } from './record.ts';
import { workKey } from './work-key.ts';

export interface NewJob {
  readonly id: string;
  readonly owner: string;
  readonly source: Image;
  readonly variants: readonly Variant[];
  readonly labels: Readonly<Record<string, string>>;
  readonly priority: JobPriority;
  readonly deadline?: Timestamp | undefined;
  /** May be empty. */
  readonly webhookUrl?: string;
  /** The client's request_id, may be empty. */
  readonly clientRequestId: string;
  readonly requestId: string;
  readonly traceparent: string;
  readonly nowMs: number;
}

export function newRecord(from: NewJob): JobRecord {
  const job = create(JobSchema, {
    id: from.id,
    owner: from.owner,
    state: JobState.QUEUED,
    sourceImageId: from.source.id,
    variants: [...from.variants],
    requestId: from.clientRequestId,
    labels: { ...from.labels },
    createTime: timestampFromMs(from.nowMs),
    sequence: 1n,
    priority: from.priority === JobPriority.UNSPECIFIED ? JobPriority.NORMAL : from.priority,
    ...(from.deadline && { deadline: from.deadline }),
    ...(from.webhookUrl !== undefined && { webhookUrl: from.webhookUrl }),
  });
  const { owner, source, requestId, traceparent } = from;
  const work = from.variants.map((variant) => workKey(source.id, variant));
  return { job, owner, source, requestId, traceparent, waits: 0, work };
}

export function isFinal(state: JobState): boolean {
  switch (state) {
    case JobState.SUCCEEDED:
    case JobState.FAILED:
    case JobState.CANCELLED:
      return true;
    default:
      // An open enum: a state of a later release may be here too.
      return false;
  }
}

/** "JOB_STATE_QUEUED". */
export function stateName(state: JobState): string {
  return JobStateSchema.value[state]?.name ?? `JOB_STATE_${state}`;
}

/** The variants that have no result yet. */
export function missingVariants({ variants, results }: Job): Variant[] {
  const done = new Set(results.map(({ name }) => name));
  return variants.filter(({ name }) => !done.has(name));
}

/** A run takes the job: one more attempt. */
export function begin(record: JobRecord, run: JobRun, nowMs: number): JobRecord {
  const { job } = expect(record, 'begin', JobState.QUEUED, JobState.RUNNING);
  return {
    ...next(record, {
      state: JobState.RUNNING,
      attempts: job.attempts + 1,
      startTime: job.startTime ?? timestampFromMs(nowMs),
    }),
    run,
  };
}

export function addResult(record: JobRecord, name: string, image: Image): JobRecord {
  const { job } = expect(record, 'get a result', JobState.RUNNING);
  if (job.results.some((result) => result.name === name)) return record;
  return next(record, { results: [...job.results, create(VariantResultSchema, { name, image })] });
}

/** Back to the queue. `isAttempt`: the attempt failed; otherwise nothing was tried, and it is not counted. */
export function putOff(record: JobRecord, isAttempt: boolean): JobRecord {
  const { job } = expect(record, 'be put off', JobState.RUNNING);
  return {
    ...next(record, {
      state: JobState.QUEUED,
      attempts: isAttempt ? job.attempts : Math.max(0, job.attempts - 1),
    }),
    waits: isAttempt ? 0 : record.waits + 1,
  };
}

export function succeed(record: JobRecord, nowMs: number): JobRecord {
  const { job } = expect(record, 'succeed', JobState.RUNNING);
  if (missingVariants(job).length > 0)
    throw new MeshError('INTERNAL', `job ${job.id} ended without all results`);
  return next(record, { state: JobState.SUCCEEDED, endTime: timestampFromMs(nowMs) });
}

export function fail(record: JobRecord, error: MeshError, nowMs: number): JobRecord {
  expect(record, 'fail', JobState.QUEUED, JobState.RUNNING);
  return next(record, { state: JobState.FAILED, error: toStatus(error), endTime: timestampFromMs(nowMs) });
}

export function cancel(record: JobRecord, nowMs: number): JobRecord {
  expect(record, 'be cancelled', JobState.QUEUED, JobState.RUNNING);
  return next(record, { state: JobState.CANCELLED, endTime: timestampFromMs(nowMs) });
}

/** A new life for a job that ended without success; its results are kept, its deadline is over. */
export function retry(record: JobRecord): JobRecord {
  const { job } = expect(record, 'be retried', JobState.FAILED, JobState.CANCELLED);
  const { error, endTime, deadline, ...kept } = next(record, {
    state: JobState.QUEUED,
    attempts: 0,
    retries: job.retries + 1,
  }).job;
  const { run, ...rest } = record;
  return { ...rest, waits: 0, job: create(JobSchema, kept) };
}

/** Time until the job's deadline in ms, negative after it; Infinity without one. */
export function timeLeftMs({ deadline }: Job, nowMs: number): number {
  return deadline === undefined ? Number.POSITIVE_INFINITY : timestampMs(deadline) - nowMs;
}

type Changes = Partial<
  Pick<Job, 'state' | 'attempts' | 'results' | 'error' | 'startTime' | 'endTime' | 'retries'>
>;

function next(record: JobRecord, changes: Changes): JobRecord {
  const { job } = record;
  return { ...record, job: create(JobSchema, { ...job, ...changes, sequence: job.sequence + 1n }) };
}

function expect(record: JobRecord, what: string, ...states: readonly JobState[]): JobRecord {
  if (states.includes(record.job.state)) return record;
  throw new MeshError(
    'JOB_CONFLICT',
    `job ${record.job.id} cannot ${what} in ${stateName(record.job.state)}`,
  );
}
