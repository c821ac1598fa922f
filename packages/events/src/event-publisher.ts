/** Events out: into the stream IMAGEMESH_EVENTS, where they can be replayed for a week. */
import { randomUUID } from 'node:crypto';
import { type DescMessage, type MessageShape, toJson } from '@bufbuild/protobuf';
import { formatTraceparent } from '@imagemesh/observe';
import { errorDetails } from '@imagemesh/rpc';
import { DiscardPolicy, type NatsConnection, nanos, RetentionPolicy, StorageType } from 'nats';
import { eventSubject, toCloudEvent } from './cloud-event.ts';
import { type MessageContext, toHeaders } from './headers.ts';
import { isConflict } from './nats-errors.ts';
import type { NatsLink } from './nats-link.ts';
import { ensureStream } from './streams.ts';

export interface MeshEvent<Desc extends DescMessage> extends MessageContext {
  /** "job", "image" or "transform". */
  readonly subject: 'job' | 'image' | 'transform';
  /** "completed", "failed", "uploaded", "deleted". */
  readonly verb: string;
  /** Id of what it happened to: 1 to 128 of A-Z a-z 0-9 _ -; another is replaced by a random one. */
  readonly id: string;
  readonly schema: Desc;
  readonly data: MessageShape<Desc>;
  /** At most one event of this verb for this id is ever in the stream; a second is dropped without an error. */
  readonly once?: boolean;
}

export interface EventPublisher {
  /** Resolves when the stream has it. NATS_UNAVAILABLE; it may be in the stream even so. */
  publish<Desc extends DescMessage>(event: MeshEvent<Desc>): Promise<void>;
  /** Sends it without waiting; dropped, and counted, when NATS is down. Never throws. */
  offer<Desc extends DescMessage>(event: MeshEvent<Desc>): void;
}

export interface EventPublisherOptions {
  /** CloudEvents source: "/imagemesh/gateway/<id>". */
  readonly source: string;
  /** Called for each event dropped. */
  readonly onDropped?: () => void;
  readonly now?: () => number;
}

export const EVENT_STREAM = 'IMAGEMESH_EVENTS';
/** Limits of the stream; beyond, the oldest events go. */
export const eventLimits = { maxAgeMs: 7 * 24 * 3_600_000, maxBytes: 256 * 1024 ** 2 };

const duplicateWindowMs = 120_000;
const idPattern = /^[A-Za-z0-9_-]{1,128}$/;

export function createEventPublisher(
  link: NatsLink,
  { source, onDropped = () => {}, now = Date.now }: EventPublisherOptions,
): EventPublisher {
  let connection: NatsConnection | undefined;
  link.keep(async (made, { replicas }) => {
    await ensureStream(made, {
      name: EVENT_STREAM,
      subjects: ['imagemesh.events.>'],
      retention: RetentionPolicy.Limits,
      storage: StorageType.File,
      discard: DiscardPolicy.Old,
      max_age: nanos(eventLimits.maxAgeMs),
      max_bytes: eventLimits.maxBytes,
      duplicate_window: nanos(duplicateWindowMs),
      num_replicas: replicas,
    });
    connection = made;
  });

  function encode<Desc extends DescMessage>(event: MeshEvent<Desc>) {
    const { subject, verb, once = false } = event;
    const subjectId = idPattern.test(event.id) ? event.id : randomUUID();
    const id = once ? `${subject}.${verb}.${subjectId}` : randomUUID();
    const body = toCloudEvent({
      id,
      source,
      subject,
      verb,
      subjectId,
      timeMs: now(),
      traceparent: event.trace && formatTraceparent(event.trace),
      data: toJson(event.schema, event.data, { registry: errorDetails }),
    });
    return { id, subject: eventSubject(subject, verb, subjectId), bytes: Buffer.from(JSON.stringify(body)) };
  }

  return {
    async publish(event) {
      const { id, subject, bytes } = encode(event);
      await link.call(async (on) => {
        try {
          await on.jetstream().publish(subject, bytes, {
            msgID: id,
            headers: toHeaders(event),
            expect: event.once === true ? { lastSubjectSequence: 0 } : {},
          });
        } catch (error) {
          // Somebody published it before.
          if (event.once !== true || !isConflict(error)) throw error;
        }
      });
    },
    offer(event) {
      if (!link.isConnected || connection === undefined) return onDropped();
      try {
        const { id, subject, bytes } = encode(event);
        const headers = toHeaders(event);
        headers.set('Nats-Msg-Id', id);
        connection.publish(subject, bytes, { headers });
      } catch {
        onDropped();
      }
    },
  };
}

/** Where no NATS is configured: nobody listens. */
export function createNoEvents(): EventPublisher {
  return { publish: async () => {}, offer: () => {} };
}
