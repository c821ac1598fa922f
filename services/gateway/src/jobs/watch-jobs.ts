/** Jobs as they change, for one caller. What a slow reader has not taken is replaced by what came after. */
import { create } from '@bufbuild/protobuf';
import {
  type Job,
  type WatchJobsRequest,
  type WatchJobsResponse,
  WatchJobsResponseSchema,
} from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import type { RecordStore } from '@imagemesh/store';
import { findJob } from './change-job.ts';
import type { JobCall } from './create-job.ts';
import { type IndexedJob, type JobFilter, type JobIndex, type JobListener, matches } from './job-index.ts';
import type { JobRecord } from './record.ts';
import { isFinal } from './transitions.ts';

export interface WatchParts {
  readonly index: JobIndex;
  readonly records: Pick<RecordStore<JobRecord>, 'get'>;
}

/** A watcher of one job looks for itself this often, should the feed have missed something. */
const recheckMs = 10_000;
/** Records read at once. */
const readsAtOnce = 32;

/** The job as it is now, if that is after the sequence, then each change; its end always, and then it ends. */
export async function* watchJob(
  { index, records }: WatchParts,
  call: JobCall,
  jobId: string,
  afterSequence: bigint,
): AsyncIterable<Job> {
  const mailbox = createMailbox(() => true);
  const stop = index.listen(jobId, mailbox);
  try {
    let latest = 0n;
    let next: Job | undefined = (await findJob(records, call, jobId)).value.job;
    while (!call.signal.aborted) {
      if (next !== undefined && next.sequence > latest) {
        latest = next.sequence;
        const isEnd = isFinal(next.state);
        if (isEnd || latest > afterSequence) yield next;
        if (isEnd) return;
      }
      await mailbox.wait(call.signal, recheckMs);
      const letter = mailbox.take();
      next = letter === undefined ? (await findJob(records, call, jobId)).value.job : letter.decode();
    }
  } finally {
    stop();
  }
}

/** As the API says. A job that changes often is sent as it is when its turn comes. JOB_NOT_FOUND for an id of nobody. */
export async function* watchJobs(
  { index, records }: WatchParts,
  call: JobCall,
  { jobIds, labels, afterRevision }: WatchJobsRequest,
): AsyncIterable<WatchJobsResponse> {
  const filter: JobFilter = { owner: call.owner, states: [], labels };
  const ids = new Set(jobIds);
  const mailbox = createMailbox((job) => (ids.size === 0 || ids.has(job.id)) && matches(job, filter));
  const stop = index.listen(undefined, mailbox);
  try {
    await index.caughtUp();
    mailbox.clear();
    // A revision that is not there yet is of a server that has lost its data.
    const after = afterRevision > BigInt(index.revision) ? 0 : Number(afterRevision);
    const known = ids.size === 0 ? index.all(filter) : findAll(index, filter, ids);
    const unended = new Set(ids);
    for (const { id, state } of known) if (isFinal(state)) unended.delete(id);
    const first = known.filter(({ revision, state }) =>
      after > 0 ? revision > after : ids.size > 0 || !isFinal(state),
    );
    for (let at = 0; at < first.length; at += readsAtOnce) {
      const part = first.slice(at, at + readsAtOnce);
      const entries = await Promise.all(part.map(({ id }) => records.get(id)));
      for (const [of, { revision }] of part.entries()) {
        const job = entries[of]?.value.job;
        // The revision as it was seen in the list, not of what was read later: others follow that changed in between.
        if (job !== undefined) yield toResponse(job, revision);
      }
    }
    while (!call.signal.aborted && (ids.size === 0 || unended.size > 0)) {
      const letter = mailbox.take();
      if (letter === undefined) {
        await mailbox.wait(call.signal);
        continue;
      }
      const job = letter.decode();
      if (job === undefined) continue;
      if (isFinal(job.state)) unended.delete(job.id);
      yield toResponse(job, letter.revision);
    }
  } finally {
    stop();
  }
}

function findAll(index: JobIndex, filter: JobFilter, ids: ReadonlySet<string>): readonly IndexedJob[] {
  return [...ids]
    .map((id) => {
      const job = index.find(id);
      if (job !== undefined && matches(job, filter)) return job;
      throw new MeshError('JOB_NOT_FOUND', `there is no job ${id}`, { resource: { type: 'job', name: id } });
    })
    .sort((a, b) => a.revision - b.revision);
}

function toResponse(job: Job, revision: number): WatchJobsResponse {
  return create(WatchJobsResponseSchema, { job, revision: BigInt(revision) });
}

interface Letter {
  readonly revision: number;
  decode(): Job | undefined;
}

interface Mailbox extends JobListener {
  /** The one that changed first, of the jobs that changed. */
  take(): Letter | undefined;
  clear(): void;
  /** Until there is something, the signal aborts, or the time is over. NATS_UNAVAILABLE once the connection was lost. */
  wait(signal: AbortSignal, timeoutMs?: number): Promise<void>;
}

/** Holds the newest change of each job. */
function createMailbox(isWanted: (job: IndexedJob) => boolean): Mailbox {
  const letters = new Map<string, Letter>();
  let isLost = false;
  let wake: () => void = () => {};
  return {
    changed(job, decode) {
      if (!isWanted(job)) return;
      // Behind the others: letters are in the order of their revisions.
      letters.delete(job.id);
      letters.set(job.id, { revision: job.revision, decode });
      wake();
    },
    lost() {
      isLost = true;
      wake();
    },
    take() {
      for (const [id, letter] of letters) {
        letters.delete(id);
        return letter;
      }
      return undefined;
    },
    clear: () => letters.clear(),
    async wait(signal, timeoutMs) {
      if (letters.size === 0 && !isLost && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const timer = timeoutMs === undefined ? undefined : setTimeout(resolve, timeoutMs);
          const end = () => {
            clearTimeout(timer);
            signal.removeEventListener('abort', end);
            resolve();
          };
          signal.addEventListener('abort', end, { once: true });
          wake = end;
        });
      }
      if (isLost) throw new MeshError('NATS_UNAVAILABLE', 'the connection to NATS was lost; watch again');
    },
  };
}
