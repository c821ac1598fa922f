/**
 * Works on one delivery of a job. Whatever happens, at whatever moment, doing it again does no harm: the end is
 * recorded, then announced (the stream takes that once), then the message is acknowledged; variants that have a result
 * are not done again; and of two runs of one job only the later can write.
 */
import { randomUUID } from 'node:crypto';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { type Image, JobState, type Variant } from '@imagemesh/api';
import type { EventPublisher, JobDelivery, JobQueue, RunCheck, Settlement } from '@imagemesh/events';
import { childOf, type Logger, newTrace, parseTraceparent, type TraceContext } from '@imagemesh/observe';
import {
  createCallSignal,
  type Deadline,
  deadlineExceeded,
  deadlineIn,
  MeshError,
  toMeshError,
} from '@imagemesh/rpc';
import type { Claims, Entry, RecordStore } from '@imagemesh/store';
import { afterFailure, maxAttempts } from './after-failure.ts';
import { announce, announceProgress, announceStarted } from './announce.ts';
import { JobLost, type Lease, takeLease } from './lease.ts';
import type { NewRecords } from './new-records.ts';
import type { JobRecord, JobRun } from './record.ts';
import {
  addResult,
  begin,
  fail,
  isFinal,
  missingVariants,
  putOff,
  succeed,
  timeLeftMs,
} from './transitions.ts';

/** The call that a variant is run in. */
export interface RunCall {
  readonly owner: string;
  readonly requestId: string;
  readonly trace: TraceContext;
  readonly signal: AbortSignal;
  readonly deadline: Deadline;
  readonly class: 'job';
}

/** Runs one variant; the result is stored when it resolves, without a claim. */
export type RunVariant = (call: RunCall, source: Image, variant: Variant) => Promise<Image>;

export interface RunParts {
  readonly records: RecordStore<JobRecord>;
  readonly newRecords: NewRecords;
  readonly queue: JobQueue;
  readonly events: EventPublisher;
  readonly claims: Claims;
  readonly runVariant: RunVariant;
  readonly log: Logger;
  readonly gatewayId: string;
  /** Tokens of the runs of this gateway. */
  readonly tokens: Set<string>;
  /** Asks other gateways for theirs. */
  readonly runCheck: RunCheck;
  readonly onEnd: (record: JobRecord) => void;
  readonly now: () => number;
}

/** Variants of one job that run at once. */
const variantsAtOnce = 2;
/** Time for one variant, waiting for a replica included. */
export const variantTimeoutMs = 300_000;
const soonMs = 1000;

const done: Settlement = { kind: 'done' };
const again = (delayMs: number): Settlement => ({ kind: 'again', delayMs });

/** `signal` ends the run: what it has is kept, and the job goes back to the queue. */
export async function runJob(
  parts: RunParts,
  delivery: JobDelivery,
  signal: AbortSignal,
): Promise<Settlement> {
  const { records, newRecords, queue, events, log, now } = parts;
  const { jobId, sequence: message, deliveries } = delivery;
  const made = newRecords.take(jobId);
  // Nobody has begun it, as far as this gateway can know; the first write finds out.
  const entry = deliveries === 1 && made !== undefined ? made : await records.get(jobId);
  if (entry === undefined) {
    log.warn({ jobId }, 'a job in the queue has no record; dropped');
    return done;
  }
  const { job, run } = entry.value;
  if (isFinal(job.state)) {
    await announce(events, entry.value);
    return done;
  }
  // A second message of the same job: the first, which somebody has or will get, is enough.
  if (run !== undefined && run.message !== message && (await queue.holds(run.message))) return done;
  // A server that was killed hands out again what is being worked on.
  if (job.state === JobState.RUNNING && run !== undefined && (await isRunning(parts, run)))
    return again(soonMs);

  const startMs = now();
  const trace = childOf(parseTraceparent(entry.value.traceparent) ?? delivery.trace ?? newTrace());
  const settlement = await runHeld(parts, entry, { message, trace, signal });
  log.info(
    {
      jobId,
      requestId: entry.value.requestId,
      traceId: trace.traceId,
      settlement: settlement.kind,
      ms: now() - startMs,
    },
    'job',
  );
  return settlement;
}

function isRunning({ tokens, runCheck }: RunParts, { token }: JobRun): boolean | Promise<boolean> {
  return tokens.has(token) || runCheck.isRunning(token.slice(0, token.lastIndexOf('/')), token);
}

interface RunContext {
  readonly message: number;
  readonly trace: TraceContext;
  readonly signal: AbortSignal;
}

async function runHeld(parts: RunParts, entry: Entry<JobRecord>, context: RunContext): Promise<Settlement> {
  const { records, events, tokens, now, onEnd } = parts;
  const { message, signal } = context;
  const token = `${parts.gatewayId}/${randomUUID()}`;
  const run = { token, message };
  try {
    tokens.add(token);
    const lease = await takeLease({ records, entry, signal, begin: (record) => begin(record, run, now()) });
    announceStarted(events, lease.record);
    const settlement = await work(parts, lease, context);
    if (settlement !== undefined) return settlement;
    onEnd(lease.record);
    await announce(events, lease.record);
    return done;
  } catch (error) {
    if (error instanceof JobLost) {
      // Another run answers for the message.
      if (error.ended === undefined) return { kind: 'leave' };
      await announce(events, error.ended);
      return done;
    }
    // Recorded or not, announced or not: the next delivery sees, and goes on from there.
    if (error instanceof MeshError && error.reason === 'NATS_UNAVAILABLE') return again(soonMs);
    throw error;
  } finally {
    tokens.delete(token);
  }
}

/** Undefined when the job has ended. */
async function work(parts: RunParts, lease: Lease, context: RunContext): Promise<Settlement | undefined> {
  const { now } = parts;
  try {
    // Only a job that ends its gateway again and again gets here: no failure of it was ever recorded.
    if (lease.record.job.attempts > maxAttempts) {
      throw new MeshError('INTERNAL', `${maxAttempts} attempts were begun, and none ended`);
    }
    await runVariants(parts, lease, context);
    if (!isFinal(lease.record.job.state)) await lease.change((record) => succeed(record, now()));
    return undefined;
  } catch (error) {
    if (error instanceof JobLost) throw error;
    const { job, waits } = lease.record;
    const isLate = timeLeftMs(job, now()) <= 0;
    const thrown = toMeshError(context.signal.aborted ? context.signal.reason : error);
    if (thrown.reason === 'NATS_UNAVAILABLE') throw thrown;
    const failure = isLate ? deadlineExceeded() : thrown;
    const ageMs = job.createTime === undefined ? 0 : now() - timestampMs(job.createTime);
    const next =
      job.attempts > maxAttempts || isLate
        ? ({ kind: 'fail' } as const)
        : afterFailure(failure, { ...job, waits, ageMs });
    if (failure.reason !== 'CANCELLED') {
      parts.log.warn(
        { jobId: job.id, err: failure, attempts: job.attempts, next: next.kind },
        'an attempt of a job failed',
      );
    }
    switch (next.kind) {
      case 'fail':
        await lease.change((record) => fail(record, failure, now()));
        return undefined;
      case 'again':
        await lease.change((record) => putOff(record, next.isAttempt));
        return again(failure.reason === 'SHUTTING_DOWN' ? 0 : next.delayMs);
      default:
        return next satisfies never;
    }
  }
}

/** All that are missing, some at a time; the first failure ends the others. The job succeeds with the last of them. */
async function runVariants(
  parts: RunParts,
  lease: Lease,
  { trace, signal: parent }: RunContext,
): Promise<void> {
  const { claims, events, runVariant, now } = parts;
  const { owner, source, requestId, job } = lease.record;
  const failed = new AbortController();
  const waiting = missingVariants(job);
  const timeoutMs = Math.min(variantTimeoutMs, timeLeftMs(job, now()));
  if (timeoutMs <= 0) throw deadlineExceeded();

  async function runNext(): Promise<void> {
    for (let variant = waiting.shift(); variant !== undefined; variant = waiting.shift()) {
      const { name } = variant;
      const deadline = deadlineIn(timeoutMs);
      const { signal, dispose } = createCallSignal({
        deadline,
        parent: AbortSignal.any([parent, failed.signal]),
      });
      try {
        signal.throwIfAborted();
        const call = { owner, requestId, trace: childOf(trace), signal, deadline, class: 'job' } as const;
        const image = await claims.add(owner, await runVariant(call, source, variant));
        // One write for the last result and the end.
        await lease.change((record) => {
          const next = addResult(record, name, image);
          return missingVariants(next.job).length === 0 ? succeed(next, now()) : next;
        });
        if (!isFinal(lease.record.job.state)) announceProgress(events, lease.record);
      } finally {
        dispose();
      }
    }
  }

  const runners = Array.from({ length: Math.min(variantsAtOnce, waiting.length) }, async () => {
    try {
      await runNext();
    } catch (error) {
      // What follows the first failure is its echo.
      if (!failed.signal.aborted) failed.abort(error);
    }
  });
  await Promise.all(runners);
  if (failed.signal.aborted) throw failed.signal.reason;
}
