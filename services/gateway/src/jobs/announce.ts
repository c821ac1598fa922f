/** The events of a job. That of its end is published exactly once; the others are offered, and kept for a while without NATS. */
import { create } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import {
  type JobEvent,
  JobEventResultSchema,
  JobEventSchema,
  JobState,
  type VariantResult,
} from '@imagemesh/api';
import type { EventPublisher, EventType, MeshEvent } from '@imagemesh/events';
import { parseTraceparent } from '@imagemesh/observe';
import type { JobRecord } from './record.ts';

/** Publishes its end; again is harmless: the stream takes it once. A job that has not ended has none. */
export async function announce(events: EventPublisher, record: JobRecord): Promise<void> {
  const event = finalEvent(record);
  if (event !== undefined) await events.publish(event);
}

/** A job was made. */
export function announceCreated(events: EventPublisher, record: JobRecord): void {
  const { id, createTime } = record.job;
  events.offer({
    ...eventOf(record, 'imagemesh.job.created', { key: id }),
    ...(createTime && { timeMs: timestampMs(createTime) }),
    once: true,
  });
}

/** An attempt has begun. */
export function announceStarted(events: EventPublisher, record: JobRecord): void {
  events.offer(eventOf(record, 'imagemesh.job.started', { key: stepKey(record) }));
}

/** A job that goes on has one result more: its last. */
export function announceProgress(events: EventPublisher, record: JobRecord): void {
  const results = record.job.results.slice(-1);
  events.offer(eventOf(record, 'imagemesh.job.progress', { key: stepKey(record), results }));
}

function finalEvent(record: JobRecord): (MeshEvent<typeof JobEventSchema> & { key: string }) | undefined {
  const { state, id, retries, results, endTime } = record.job;
  const type = finalType(state);
  if (type === undefined) return undefined;
  return {
    ...eventOf(record, type, {
      // A job that was retried ends again: once for each time.
      key: retries === 0 ? id : `${id}-${retries}`,
      // A failed job may have some; only the job itself shows them.
      results: state === JobState.SUCCEEDED ? results : [],
    }),
    ...(endTime && { timeMs: timestampMs(endTime) }),
    once: true,
    webhookUrl: record.job.webhookUrl,
  };
}

function finalType(state: JobState): EventType | undefined {
  switch (state) {
    case JobState.SUCCEEDED:
      return 'imagemesh.job.completed';
    case JobState.FAILED:
      return 'imagemesh.job.failed';
    case JobState.CANCELLED:
      return 'imagemesh.job.cancelled';
    default:
      return undefined;
  }
}

function stepKey({ job }: JobRecord): string {
  return `${job.id}-${job.sequence}`;
}

interface EventDetails {
  readonly key: string;
  readonly results?: readonly VariantResult[];
}

function eventOf(record: JobRecord, type: EventType, { key, results = [] }: EventDetails) {
  const { job, owner, requestId, traceparent } = record;
  return {
    ...{ type, key, owner, requestId },
    subject: job.id,
    schema: JobEventSchema,
    data: toJobEvent(record, results),
    trace: parseTraceparent(traceparent),
  } satisfies MeshEvent<typeof JobEventSchema>;
}

function toJobEvent({ job }: JobRecord, results: readonly VariantResult[]): JobEvent {
  const { id, requestId, labels, sourceImageId, error, createTime, endTime, attempts, sequence } = job;
  return create(JobEventSchema, {
    ...{ jobId: id, requestId, labels, sourceImageId, attempts, sequence },
    variantCount: job.variants.length,
    resultCount: job.results.length,
    results: results.map(({ name, image }) =>
      create(JobEventResultSchema, {
        name,
        imageId: image?.id ?? '',
        ...(image?.info && { info: image.info }),
      }),
    ),
    ...(error && { error }),
    durationMs: createTime && endTime ? timestampMs(endTime) - timestampMs(createTime) : 0,
  });
}
