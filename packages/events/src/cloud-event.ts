/** Events as CloudEvents 1.0 in structured JSON (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md). */
import type { JsonValue } from '@bufbuild/protobuf';

export interface CloudEvent {
  readonly specversion: '1.0';
  /** Unique with the source. */
  readonly id: string;
  /** "/imagemesh/gateway/<id>". */
  readonly source: string;
  /** "imagemesh.job.completed". */
  readonly type: string;
  /** What it happened to: the id of a job or an image. */
  readonly subject: string;
  /** RFC 3339. */
  readonly time: string;
  readonly datacontenttype: 'application/json';
  /** Extension "distributed tracing". */
  readonly traceparent?: string;
  /** Protobuf JSON of a message in event.proto. */
  readonly data: JsonValue;
}

export interface CloudEventParts {
  readonly id: string;
  readonly source: string;
  readonly subject: string;
  readonly verb: string;
  readonly subjectId: string;
  readonly timeMs: number;
  readonly traceparent?: string | undefined;
  readonly data: JsonValue;
}

export function toCloudEvent(parts: CloudEventParts): CloudEvent {
  return {
    specversion: '1.0',
    id: parts.id,
    source: parts.source,
    type: `imagemesh.${parts.subject}.${parts.verb}`,
    subject: parts.subjectId,
    time: new Date(parts.timeMs).toISOString(),
    datacontenttype: 'application/json',
    ...(parts.traceparent !== undefined && { traceparent: parts.traceparent }),
    data: parts.data,
  };
}

/** The NATS subject of an event. */
export function eventSubject(subject: string, verb: string, subjectId: string): string {
  return `imagemesh.events.${subject}.${verb}.${subjectId}`;
}
