/** Events as CloudEvents 1.0 in structured JSON (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md). */
import type { JsonValue } from '@bufbuild/protobuf';

/** Every type of event there is. */
export const EVENT_TYPES = [
  'imagemesh.image.uploaded',
  'imagemesh.image.deleted',
  'imagemesh.job.created',
  'imagemesh.job.started',
  'imagemesh.job.progress',
  'imagemesh.job.completed',
  'imagemesh.job.failed',
  'imagemesh.job.cancelled',
  'imagemesh.transform.completed',
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** Every event's: so that its id alone tells two events apart. */
export const EVENT_SOURCE = '/imagemesh';

export interface CloudEvent {
  readonly specversion: '1.0';
  /** Unique; of one that can be published twice, the same both times. */
  readonly id: string;
  readonly source: typeof EVENT_SOURCE;
  readonly type: EventType;
  /** What it happened to: the id of a job or an image, the request id of a transform. */
  readonly subject: string;
  /** RFC 3339. */
  readonly time: string;
  readonly datacontenttype: 'application/json';
  /** Extension "distributed tracing". */
  readonly traceparent?: string;
  /** Extension of our own: whose job or image it is. */
  readonly owner: string;
  /** Protobuf JSON of a message in event.proto. */
  readonly data: JsonValue;
}

export interface CloudEventParts extends Pick<CloudEvent, 'id' | 'type' | 'subject' | 'owner' | 'data'> {
  readonly timeMs: number;
  readonly traceparent?: string | undefined;
}

export function toCloudEvent({
  id,
  type,
  subject,
  timeMs,
  traceparent,
  owner,
  data,
}: CloudEventParts): CloudEvent {
  return {
    specversion: '1.0',
    id,
    source: EVENT_SOURCE,
    type,
    subject,
    time: new Date(timeMs).toISOString(),
    datacontenttype: 'application/json',
    ...(traceparent !== undefined && { traceparent }),
    owner,
    data,
  };
}

/** The event in a message; undefined if somebody else put something else there, or a later release a type of its own. */
export function parseCloudEvent(bytes: Uint8Array): CloudEvent | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString());
    if (typeof value !== 'object' || value === null) return undefined;
    const { specversion, id, type, subject, time, data } = value as Record<string, unknown>;
    const isOne =
      specversion === '1.0' &&
      [id, subject, time].every((text) => typeof text === 'string') &&
      isEventType(type) &&
      data !== undefined;
    // A parse boundary: checked as far as it is read; data is checked by its schema.
    return isOne ? (value as CloudEvent) : undefined;
  } catch {
    return undefined;
  }
}

export function isEventType(type: unknown): type is EventType {
  return EVENT_TYPES.some((known) => known === type);
}

/** The NATS subject of an event: "imagemesh.events.job.completed.<token>". */
export function eventSubject(type: EventType, token: string): string {
  return `imagemesh.events.${type.slice('imagemesh.'.length)}.${token}`;
}
