/**
 * One run's hold on a job's record. Changes are made one after the other by compare-and-set; a run that finds another
 * run's token there has lost the job, and changes nothing more.
 *
 * A change waits for NATS while NATS is away: what was worked out meanwhile is not lost.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { MeshError } from '@imagemesh/rpc';
import type { Entry, RecordStore } from '@imagemesh/store';
import type { JobRecord } from './record.ts';
import { isFinal } from './transitions.ts';

export interface Lease {
  /** The record as this run last wrote it. */
  readonly record: JobRecord;
  /** Writes the next record. JobLost; NATS_UNAVAILABLE once the run's signal has aborted. */
  change(step: (record: JobRecord) => JobRecord): Promise<void>;
}

/** Another run has the job now, its owner has cancelled it, or it is gone. */
export class JobLost extends Error {
  override readonly name = 'JobLost';
  /** The job as it is now, where it has ended. */
  readonly ended: JobRecord | undefined;

  constructor(message: string, ended?: JobRecord) {
    super(message);
    this.ended = ended;
  }
}

export interface LeaseOptions {
  readonly records: RecordStore<JobRecord>;
  /** What is there now. */
  readonly entry: Entry<JobRecord>;
  /** Sets this run's token. */
  readonly begin: (record: JobRecord) => JobRecord;
  /** Ends waiting for NATS. */
  readonly signal: AbortSignal;
}

const waitForNatsMs = 500;

export async function takeLease({ records, entry, begin, signal }: LeaseOptions): Promise<Lease> {
  const { id } = entry.value.job;
  let current: Entry<JobRecord> = entry;
  /** Of the run that the record must name: the one that this run takes it from, then this one. */
  let token = entry.value.run?.token;
  while (!(await write(begin(current.value))));
  token = current.value.run?.token;
  // Each change waits for the one before; a failed one does not stop those that follow.
  let last: Promise<void> = Promise.resolve();

  return {
    get record() {
      return current.value;
    },
    change(step) {
      const change = last.then(async () => {
        while (true) {
          const next = step(current.value);
          if (next === current.value || (await write(next))) return;
        }
      });
      last = change.catch(() => {});
      return change;
    },
  };

  /** False if the record changed under the run that has it, and still has: `current` is as it is now. */
  async function write(next: JobRecord): Promise<boolean> {
    const revision = await persistently(() => records.update(id, next, current.revision));
    if (revision !== undefined) {
      current = { value: next, revision };
      return true;
    }
    const found = await persistently(() => records.get(id));
    if (found === undefined) throw new JobLost(`job ${id} is gone`);
    const { job, run } = found.value;
    // The write had happened, and only its answer was lost.
    const isWritten =
      run?.token === next.run?.token && job.sequence === next.job.sequence && job.state === next.job.state;
    if (!isWritten && isFinal(job.state)) throw new JobLost(`job ${id} has ended`, found.value);
    if (!isWritten && run?.token !== token) throw new JobLost(`job ${id} is another run's`);
    current = found;
    return isWritten;
  }

  async function persistently<Result>(exchange: () => Promise<Result>): Promise<Result> {
    while (true) {
      try {
        return await exchange();
      } catch (error) {
        if (!(error instanceof MeshError) || error.reason !== 'NATS_UNAVAILABLE' || signal.aborted)
          throw error;
        await sleep(waitForNatsMs, undefined, { signal }).catch(() => {});
      }
    }
  }
}
