/** Cancels and retries jobs, by compare-and-set against the runs that may change them at the same time. */
import type { Job } from '@imagemesh/api';
import { JobState } from '@imagemesh/api';
import type { EventPublisher, JobQueue } from '@imagemesh/events';
import { MeshError } from '@imagemesh/rpc';
import type { Entry, RecordStore } from '@imagemesh/store';
import { announce } from './announce.ts';
import type { JobCall } from './create-job.ts';
import { enqueue } from './enqueue.ts';
import type { JobRecord } from './record.ts';
import { cancel, retry } from './transitions.ts';

export interface ChangeParts {
  readonly records: RecordStore<JobRecord>;
  readonly queue: JobQueue;
  readonly events: EventPublisher;
  readonly onEnd: (record: JobRecord) => void;
  readonly now: () => number;
}

/** Tries that another change may come between. */
const maxTries = 20;

/** The caller's job, or anybody's for an admin. JOB_NOT_FOUND, also for a job of somebody else. */
export async function findJob(
  records: Pick<RecordStore<JobRecord>, 'get'>,
  { owner, caller }: Pick<JobCall, 'owner' | 'caller'>,
  jobId: string,
): Promise<Entry<JobRecord>> {
  const entry = await records.get(jobId);
  const isAdmin = caller?.scopes.has('admin') ?? false;
  if (entry !== undefined && (isAdmin || entry.value.owner === owner)) return entry;
  throw new MeshError('JOB_NOT_FOUND', `there is no job ${jobId}`, {
    resource: { type: 'job', name: jobId },
  });
}

/**
 * CANCELLED from here on, whatever runs; again the same. JOB_CONFLICT for a job that has succeeded or failed. Its run
 * finds out by the feed of records, or at its next write.
 */
export async function cancelJob(parts: ChangeParts, call: JobCall, jobId: string): Promise<Job> {
  const { events, onEnd, now } = parts;
  let isMine = false;
  const { value } = await change(parts, call, jobId, (record) => {
    isMine = record.job.state !== JobState.CANCELLED;
    return isMine ? cancel(record, now()) : record;
  });
  if (isMine) onEnd(value);
  await announce(events, value);
  return value.job;
}

/** Queued again. JOB_CONFLICT unless it has failed or was cancelled. */
export async function retryJob(parts: ChangeParts, call: JobCall, jobId: string): Promise<Job> {
  const { value } = await change(parts, call, jobId, retry);
  await enqueue(parts.queue, value.job, call);
  return value.job;
}

async function change(
  { records }: ChangeParts,
  call: JobCall,
  jobId: string,
  step: (record: JobRecord) => JobRecord,
): Promise<Entry<JobRecord>> {
  for (let tries = 0; tries < maxTries; tries += 1) {
    const entry = await findJob(records, call, jobId);
    const value = step(entry.value);
    if (value === entry.value) return entry;
    const revision = await records.update(jobId, value, entry.revision);
    if (revision !== undefined) return { value, revision };
  }
  throw new MeshError('JOB_CONFLICT', `job ${jobId} keeps changing; try again`);
}
