/**
 * Sends what is in the outbox as long as there is a connection, in order, and forgets an event once the stream has
 * confirmed it. What a connection took with it is sent again on the next, under the same message id, so that the
 * stream, which knows the ids of the last two minutes, has it once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@imagemesh/observe';
import { createInbox, type Msg, type NatsConnection } from 'nats';
import { ensureEventStream } from './event-stream.ts';
import { answerOfStream } from './nats-errors.ts';
import type { NatsLink } from './nats-link.ts';
import { createOutbox, type OutboxBounds, type OutgoingEvent } from './outbox.ts';

export interface OutboxSender {
  /** Events that wait for NATS, or for its word that it has them. */
  readonly waiting: number;
  /** Holds it until the stream has it, or it is dropped. Never throws. */
  add(event: OutgoingEvent): void;
  /** Waits for what is held, for that long at most; what is left is dropped. */
  close(withinMs: number): Promise<void>;
}

export interface OutboxSenderOptions {
  readonly bounds?: OutboxBounds;
  /** Told once of each time in which events are dropped. */
  readonly log?: Logger | undefined;
  /** Called with the number of events dropped. */
  readonly onDropped: (count: number) => void;
  /** A confirmation that has not come by then is taken for lost. Default 5 s. */
  readonly resendAfterMs?: number;
}

/** Of 300 to 900 bytes each. */
const defaultBounds: OutboxBounds = { maxCount: 4096, maxBytes: 8 * 1024 ** 2 };
/** Events on their way at once; others wait in the outbox, not in the connection. */
const maxSent = 1024;
const closeStepMs = 20;

export function createOutboxSender(
  link: NatsLink,
  { bounds = defaultBounds, log, onDropped, resendAfterMs = 5000 }: OutboxSenderOptions,
): OutboxSender {
  const outbox = createOutbox(bounds);
  let connection: NatsConnection | undefined;
  let inbox = '';
  let lastSent = 0;
  let watching: NodeJS.Timeout | undefined;
  let isClosed = false;
  let isDropping = false;

  link.keep(async (made, { replicas }) => {
    await ensureEventStream(made, replicas);
    if (connection !== made) {
      connection = made;
      inbox = createInbox();
      made.subscribe(`${inbox}.*`, {
        callback: (error, message) => {
          if (error === null) confirm(message);
        },
      });
    }
    resend();
  });

  function drop(count: number): void {
    onDropped(count);
    if (!isDropping) log?.warn({ waiting: outbox.size }, 'events are dropped: NATS does not take them');
    isDropping = true;
  }

  function resend(): void {
    outbox.unsend();
    send();
  }

  function send(): void {
    if (isClosed || connection === undefined || connection.isClosed()) return;
    for (let next = outbox.next(); next !== undefined && outbox.sent < maxSent; next = outbox.next()) {
      const [place, { to, bytes, headers }] = next;
      try {
        connection.publish(to, bytes, { headers, reply: `${inbox}.${place}` });
      } catch {
        // Lost at this moment: sent on the next. What the server would never take is dropped.
        if (connection.isClosed()) return;
        outbox.settle(place);
        drop(1);
        continue;
      }
      outbox.markSent(place);
      lastSent = place;
    }
    if (outbox.sent > 0) watch();
  }

  /** Confirmations get lost where a cluster elects another leader. */
  function watch(): void {
    if (watching !== undefined || isClosed) return;
    const upTo = lastSent;
    watching = setTimeout(() => {
      watching = undefined;
      if (outbox.holdsSent(upTo)) resend();
      else if (outbox.sent > 0) watch();
    }, resendAfterMs).unref();
  }

  function confirm(message: Msg): void {
    const place = Number(message.subject.slice(message.subject.lastIndexOf('.') + 1));
    const answer = answerOfStream(message);
    switch (answer) {
      case 'stored':
        outbox.settle(place);
        break;
      case 'refused':
        if (outbox.settle(place)) drop(1);
        break;
      case 'missing':
        // The maker above sends again.
        return void link.remake();
      case 'later':
        return;
      default:
        answer satisfies never;
    }
    if (outbox.size === 0) isDropping = false;
    send();
  }

  return {
    get waiting() {
      return outbox.size;
    },
    add(event) {
      const dropped = isClosed ? 1 : outbox.add(event);
      if (dropped > 0) drop(dropped);
      send();
    },
    async close(withinMs) {
      const endMs = performance.now() + withinMs;
      while (outbox.size > 0 && performance.now() < endMs) await sleep(closeStepMs);
      isClosed = true;
      clearTimeout(watching);
      if (outbox.size > 0) drop(outbox.size);
    },
  };
}
