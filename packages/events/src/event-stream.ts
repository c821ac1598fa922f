/** The stream of events. Transforms are not in it: their traffic would push out what happened to jobs. */
import { DiscardPolicy, type NatsConnection, nanos, RetentionPolicy, StorageType } from 'nats';
import { ensureStream } from './streams.ts';

export const EVENT_STREAM = 'IMAGEMESH_EVENTS';
/** Limits of the stream; beyond, the oldest events go. */
export const eventLimits = { maxAgeMs: 7 * 24 * 3_600_000, maxBytes: 256 * 1024 ** 2 };

const duplicateWindowMs = 120_000;

export function ensureEventStream(connection: NatsConnection, replicas: number): Promise<void> {
  return ensureStream(connection, {
    name: EVENT_STREAM,
    subjects: ['imagemesh.events.job.>', 'imagemesh.events.image.>'],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: DiscardPolicy.Old,
    max_age: nanos(eventLimits.maxAgeMs),
    max_bytes: eventLimits.maxBytes,
    duplicate_window: nanos(duplicateWindowMs),
    num_replicas: replicas,
  });
}
