/**
 * Looks after jobs that nobody works on. One that is queued without a message (its gateway died between the two, or NATS
 * lost it) is queued again; one whose deadline has passed, fails. Every gateway does so; what several do at once counts once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { JobState } from '@imagemesh/api';
import type { EventPublisher, JobQueue } from '@imagemesh/events';
import { type Logger, parseTraceparent } from '@imagemesh/observe';
import { deadlineExceeded, MeshError } from '@imagemesh/rpc';
import type { RecordStore } from '@imagemesh/store';
import { announce } from './announce.ts';
import { toQueued } from './enqueue.ts';
import type { IndexedJob, JobIndex } from './job-index.ts';
import { type JobRecord, jobTtlMs } from './record.ts';
import { fail, isFinal } from './transitions.ts';

export interface SweepParts {
  readonly index: JobIndex;
  readonly records: RecordStore<JobRecord>;
  readonly queue: JobQueue;
  readonly events: EventPublisher;
  readonly onEnd: (record: JobRecord) => void;
  readonly log: Logger;
  readonly now: () => number;
  /** Pause between sweeps. Default 15 s. */
  readonly sweepEveryMs?: number;
  /** How long a job is left alone after a change. Default 10 s. */
  readonly sweepAfterMs?: number;
}

/** A run says nothing of itself while one variant takes its time. */
const runningAfterMs = 600_000;
/** A job that waits for its turn is looked up this often. */
const lookAgainMs = 300_000;
/** Jobs looked up in one sweep. */
const maxLookedUp = 200;
/** A job that waits so long fails, before its record goes without a word. */
const maxQueuedMs = jobTtlMs - 24 * 3_600_000;

export async function keepSweepingJobs(parts: SweepParts, signal: AbortSignal): Promise<void> {
  const { index, log, sweepEveryMs = 15_000 } = parts;
  const lookedUpMs = new Map<string, number>();
  while (!signal.aborted) {
    await sleep(sweepEveryMs, undefined, { signal, ref: false }).catch(() => {});
    if (signal.aborted) return;
    try {
      await index.caughtUp();
      await sweep(parts, lookedUpMs);
    } catch (error) {
      // Without NATS there is nothing to do.
      if (!(error instanceof MeshError) || error.reason !== 'NATS_UNAVAILABLE')
        log.error({ err: error }, 'looking after jobs failed');
    }
  }
}

async function sweep(parts: SweepParts, lookedUpMs: Map<string, number>): Promise<void> {
  const { index, now, sweepAfterMs = 10_000 } = parts;
  for (const id of lookedUpMs.keys())
    if (isFinal(index.find(id)?.state ?? JobState.CANCELLED)) lookedUpMs.delete(id);
  let left = maxLookedUp;
  for (const job of [...index.open()]) {
    const { id, state, changedMs, deadlineMs = Number.POSITIVE_INFINITY } = job;
    const ageMs = now() - changedMs;
    const isQueued = state === JobState.QUEUED;
    if (isQueued && (deadlineMs <= now() || ageMs > maxQueuedMs)) {
      await end(parts, job);
      continue;
    }
    if (ageMs < (isQueued ? sweepAfterMs : runningAfterMs)) continue;
    if (now() - (lookedUpMs.get(id) ?? 0) < lookAgainMs || left === 0) continue;
    left -= 1;
    lookedUpMs.set(id, now());
    await queueAgain(parts, job);
  }
}

async function end({ records, events, onEnd, now }: SweepParts, { id, revision }: IndexedJob): Promise<void> {
  const entry = await records.get(id);
  if (entry === undefined || entry.revision !== revision) return;
  const failed = fail(entry.value, deadlineExceeded(), now());
  if ((await records.update(id, failed, revision)) === undefined) return;
  onEnd(failed);
  await announce(events, failed);
}

async function queueAgain({ records, queue, log }: SweepParts, { id, revision }: IndexedJob): Promise<void> {
  const entry = await records.get(id);
  if (entry === undefined || entry.revision !== revision) return;
  const { job, traceparent, requestId } = entry.value;
  if (await queue.hasMessage(toQueued(job))) return;
  log.warn({ jobId: id, requestId }, 'a job without a message is queued again');
  // Not the key of its first message, which may have been lost within the last two minutes.
  await queue.enqueue(toQueued(job), `${id}.${job.retries}.${revision}`, {
    trace: parseTraceparent(traceparent),
    requestId,
  });
}
