/** Events out: those of jobs and images into the stream IMAGEMESH_EVENTS, those of transforms to whoever listens. */
import { randomUUID } from 'node:crypto';
import { type DescMessage, type MessageShape, toJson } from '@bufbuild/protobuf';
import { formatTraceparent, type Logger } from '@imagemesh/observe';
import { errorDetails } from '@imagemesh/rpc';
import type { MsgHdrs, NatsConnection } from 'nats';
import { type EventType, eventSubject, toCloudEvent } from './cloud-event.ts';
import { type MessageContext, toHeaders } from './headers.ts';
import { isConflict } from './nats-errors.ts';
import type { NatsLink } from './nats-link.ts';
import type { OutboxBounds } from './outbox.ts';
import { createOutboxSender } from './outbox-sender.ts';
import { WEBHOOK_HEADER } from './webhook-queue.ts';

export interface MeshEvent<Desc extends DescMessage = DescMessage> extends MessageContext {
  readonly type: EventType;
  /** What it happened to: the id of a job or an image, the request id of a transform. */
  readonly subject: string;
  readonly owner: string;
  readonly schema: Desc;
  readonly data: MessageShape<Desc>;
  /**
   * Unique among the events of this type, 1 to 128 of A-Z a-z 0-9 _ -: the event's id is made of it, so that one that is
   * published twice is the same event, which the stream drops within two minutes. Default random.
   */
  readonly key?: string;
  /** At most one event of this type and key is ever in the stream; a second is dropped without an error. */
  readonly once?: boolean;
  /** Where it is posted; needs a final event of a job. Empty or unset: nowhere. */
  readonly webhookUrl?: string;
  /** When it happened. Default now. */
  readonly timeMs?: number;
}

export interface EventPublisher {
  /** Resolves when the stream has it. NATS_UNAVAILABLE; it may be in the stream even so. */
  publish<Desc extends DescMessage>(event: MeshEvent<Desc>): Promise<void>;
  /**
   * Sends it without waiting. While NATS is away it is kept for later, within bounds; the oldest are dropped over them, and
   * counted; of the progress of a job only the newest is kept. Of transforms nothing is kept. Never throws.
   */
  offer<Desc extends DescMessage>(event: MeshEvent<Desc>): void;
}

export interface OwnEventPublisher extends EventPublisher {
  /** Events offered that NATS has not confirmed. */
  readonly waiting: number;
  /** Waits for those, at most that long, and drops the rest. */
  close(withinMs: number): Promise<void>;
}

export interface EventPublisherOptions {
  /** Called with the number of events dropped. */
  readonly onDropped?: (count: number) => void;
  readonly log?: Logger;
  /** Of events offered that NATS has not confirmed. Default 4096 and 8 MiB. */
  readonly bounds?: OutboxBounds;
  readonly now?: () => number;
}

/** Events of transforms that the server has not confirmed to have got; more are dropped. */
const maxUnconfirmed = 4096;
const tokenPattern = /^[A-Za-z0-9_-]{1,128}$/;

export function createEventPublisher(
  link: NatsLink,
  { onDropped = () => {}, now = Date.now, log, bounds }: EventPublisherOptions = {},
): OwnEventPublisher {
  const outbox = createOutboxSender(link, { onDropped, log, ...(bounds && { bounds }) });
  let connection: NatsConnection | undefined;
  let unconfirmed = 0;
  let isConfirming = false;
  link.keep(async (made) => {
    if (connection !== made) unconfirmed = 0;
    connection = made;
  });

  function encode<Desc extends DescMessage>(event: MeshEvent<Desc>) {
    const { bytes, id } = encodeEvent(event, now());
    const { type, subject, key, once = false } = event;
    const token = once && key !== undefined ? key : subject;
    const headers = toHeaders(event);
    headers.set('Nats-Msg-Id', id);
    if (event.webhookUrl) headers.set(WEBHOOK_HEADER, event.webhookUrl);
    if (once) headers.set('Nats-Expected-Last-Subject-Sequence', '0');
    return { bytes, headers, to: eventSubject(type, tokenPattern.test(token) ? token : randomUUID()) };
  }

  /** Asks the server now and then how far it is: one question on the way at a time. */
  function confirm(on: NatsConnection): void {
    if (isConfirming) return;
    isConfirming = true;
    const asked = unconfirmed;
    on.flush()
      .then(
        () => {
          if (connection === on) unconfirmed -= asked;
        },
        // Lost: counted anew on the next connection.
        () => {},
      )
      .finally(() => {
        isConfirming = false;
      });
  }

  function sendNow({ to, bytes, headers }: { to: string; bytes: Buffer; headers: MsgHdrs }): void {
    if (!link.isConnected || connection === undefined || unconfirmed >= maxUnconfirmed) {
      onDropped(1);
      return;
    }
    connection.publish(to, bytes, { headers });
    unconfirmed += 1;
    confirm(connection);
  }

  return {
    async publish(event) {
      const { to, bytes, headers } = encode(event);
      await link.call(async (on) => {
        try {
          await on.jetstream().publish(to, bytes, { headers });
        } catch (error) {
          // Somebody published it before.
          if (event.once !== true || !isConflict(error)) throw error;
        }
      });
    },
    offer(event) {
      try {
        const encoded = encode(event);
        if (event.type === 'imagemesh.transform.completed') return sendNow(encoded);
        outbox.add({ ...encoded, replaces: event.type === 'imagemesh.job.progress' });
      } catch {
        onDropped(1);
      }
    },
    get waiting() {
      return outbox.waiting;
    },
    close: (withinMs) => outbox.close(withinMs),
  };
}

/** The event as it is published, and its id. */
export function encodeEvent<Desc extends DescMessage>(
  event: MeshEvent<Desc>,
  nowMs: number,
): { readonly id: string; readonly bytes: Buffer } {
  const { type, subject, owner, key, timeMs = nowMs, trace, schema, data } = event;
  const id = key === undefined ? randomUUID() : `${type.slice('imagemesh.'.length)}.${key}`;
  const cloudEvent = toCloudEvent({
    ...{ id, type, subject, owner, timeMs },
    traceparent: trace && formatTraceparent(trace),
    data: toJson(schema, data, { registry: errorDetails }),
  });
  return { id, bytes: Buffer.from(JSON.stringify(cloudEvent)) };
}

/** Where no NATS is configured: nobody listens. */
export function createNoEvents(): OwnEventPublisher {
  return { publish: async () => {}, offer: () => {}, waiting: 0, close: async () => {} };
}
