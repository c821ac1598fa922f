/**
 * Final events of jobs on their way to webhooks: durable consumers of the stream of events, shared by all gateways. Where
 * an event goes is a header of its message. It is acknowledged once it is delivered or given up, and comes back when
 * its gateway dies, or when that word is lost: delivered twice then, with the same id.
 */
import { AckPolicy, DeliverPolicy, type Msg, nanos } from 'nats';
import { type CloudEvent, parseCloudEvent } from './cloud-event.ts';
import { EVENT_STREAM, ensureEventStream } from './event-stream.ts';
import { keepPulling } from './keep-pulling.ts';
import type { NatsLink } from './nats-link.ts';
import { pullOne } from './pull.ts';
import { againAfter, settle } from './settle.ts';
import { ensureConsumer } from './streams.ts';

/** NATS header with the URL. */
export const WEBHOOK_HEADER = 'Imagemesh-Webhook';

export interface WebhookDelivery {
  readonly url: string;
  readonly event: CloudEvent;
  /** The event as it is in the stream. */
  readonly body: Uint8Array;
}

export interface WebhookQueue {
  /**
   * Hands deliveries to the handler until `stop` aborts; resolves when the last handler has ended. The handler says
   * whether that was all, or after how long it comes again; one that throws hands it back, one that is not heard of for a
   * minute too.
   */
  consume(
    handler: (delivery: WebhookDelivery) => Promise<'done' | { readonly againAfterMs: number }>,
    options: {
      /** Deliveries at once for each kind of end: completed, failed, cancelled. */
      readonly concurrency: number;
      readonly stop: AbortSignal;
      readonly onError: (error: unknown) => void;
    },
  ): Promise<void>;
}

/** One for each, as a server of 2.9 takes one filter a consumer. */
const verbs = ['completed', 'failed', 'cancelled'] as const;
const ackWaitMs = 60_000;
const waitMs = 10_000;
const handBackMs = 1000;
/** Deliveries that wait for another try, or are on their way. */
const maxPending = 50_000;

export function createWebhookQueue(link: NatsLink): WebhookQueue {
  link.keep(async (connection, { replicas }) => {
    await ensureEventStream(connection, replicas);
    for (const verb of verbs) {
      await ensureConsumer(connection, EVENT_STREAM, {
        durable_name: consumerOf(verb),
        filter_subject: `imagemesh.events.job.${verb}.*`,
        deliver_policy: DeliverPolicy.All,
        ack_policy: AckPolicy.Explicit,
        ack_wait: nanos(ackWaitMs),
        max_deliver: -1,
        max_ack_pending: maxPending,
      });
    }
  });

  return {
    async consume(handler, { concurrency, stop, onError }) {
      async function handle(message: Msg): Promise<void> {
        const url = message.headers?.get(WEBHOOK_HEADER) ?? '';
        const event = url === '' ? undefined : parseCloudEvent(message.data);
        if (event === undefined) return settle(link, message, '+ACK');
        try {
          const settlement = await handler({ url, event, body: message.data });
          await settle(link, message, settlement === 'done' ? '+ACK' : againAfter(settlement.againAfterMs));
        } catch (error) {
          onError(error);
          await settle(link, message, againAfter(handBackMs));
        }
      }

      async function consumeOne(consumer: string): Promise<void> {
        const running = new Set<Promise<void>>();
        const turn = async () => {
          if (running.size >= concurrency) {
            await Promise.race(running);
            return undefined;
          }
          const pulled = await pullOne(await link.ready(stop), {
            stream: EVENT_STREAM,
            consumer,
            expiresMs: waitMs,
            signal: stop,
          });
          if (pulled.kind === 'message') {
            const handling = handle(pulled.message).finally(() => running.delete(handling));
            running.add(handling);
          }
          return pulled;
        };
        await keepPulling({ link, stop, onError, turn });
        await Promise.all(running);
      }

      await Promise.all(verbs.map((verb) => consumeOne(consumerOf(verb))));
    },
  };
}

function consumerOf(verb: string): string {
  return `webhooks-${verb}`;
}
