/** The one event of a job's end. */
import { create } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { type JobEvent, JobEventResultSchema, JobEventSchema, JobState } from '@imagemesh/api';
import type { EventPublisher } from '@imagemesh/events';
import { parseTraceparent } from '@imagemesh/observe';
import type { JobRecord } from './record.ts';

/** Publishes it; again is harmless: the stream takes it once. A job that has not ended has none. */
export async function announce(events: EventPublisher, record: JobRecord): Promise<void> {
  const { state, id, retries } = record.job;
  const verb = verbOf(state);
  if (verb === undefined) return;
  await events.publish({
    subject: 'job',
    verb,
    // A job that was retried ends again: once for each time.
    id: retries === 0 ? id : `${id}-${retries}`,
    schema: JobEventSchema,
    data: toJobEvent(record),
    once: true,
    trace: parseTraceparent(record.traceparent),
    requestId: record.requestId,
  });
}

function verbOf(state: JobState): string | undefined {
  switch (state) {
    case JobState.SUCCEEDED:
      return 'completed';
    case JobState.FAILED:
      return 'failed';
    case JobState.CANCELLED:
      return 'cancelled';
    default:
      return undefined;
  }
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
