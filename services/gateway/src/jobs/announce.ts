/** The one event of a job's end. */
import { create } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { type JobEvent, JobEventResultSchema, JobEventSchema, JobState } from '@imagemesh/api';
import type { EventPublisher } from '@imagemesh/events';
import { parseTraceparent } from '@imagemesh/observe';
import type { JobRecord } from './record.ts';

/** Publishes it; again is harmless: the stream takes it once. A job that has not ended, or was cancelled, has none. */
export async function announce(events: EventPublisher, record: JobRecord): Promise<void> {
  const { state, id } = record.job;
  if (state !== JobState.SUCCEEDED && state !== JobState.FAILED) return;
  await events.publish({
    subject: 'job',
    verb: state === JobState.SUCCEEDED ? 'completed' : 'failed',
    id,
    schema: JobEventSchema,
    data: toJobEvent(record),
    once: true,
    trace: parseTraceparent(record.traceparent),
    requestId: record.requestId,
  });
}

export function toJobEvent({ job }: JobRecord): JobEvent {
  const { id, requestId, labels, sourceImageId, error, createTime, endTime } = job;
  const results = job.results.map(({ name, image }) =>
    create(JobEventResultSchema, {
      name,
      imageId: image?.id ?? '',
      ...(image?.info && { info: image.info }),
    }),
  );
  return create(JobEventSchema, {
    jobId: id,
    requestId,
    labels,
    sourceImageId,
    // A failed job may have some; only the job itself shows them.
    results: job.state === JobState.SUCCEEDED ? results : [],
    ...(error && { error }),
    durationMs: createTime && endTime ? timestampMs(endTime) - timestampMs(createTime) : 0,
  });
}
