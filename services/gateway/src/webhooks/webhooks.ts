/**
 * Posts the ends of jobs to their webhooks: at least once, with the event's id to tell them apart. What fails is tried
 * again after as long as the event is old, an hour at most, and given up after a day; that needs no memory but the
 * event's time, so any gateway goes on where another died.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { WebhookDelivery, WebhookQueue } from '@imagemesh/events';
import type { Logger, Metrics } from '@imagemesh/observe';
import { sendWebhook } from './send-webhook.ts';
import { signWebhook } from './sign-webhook.ts';
import { createLookup, refusalOf } from './webhook-address.ts';
import type { WebhookSettings } from './webhook-config.ts';

export interface WebhookParts {
  readonly queue: WebhookQueue;
  readonly settings: WebhookSettings;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface Webhooks {
  /** Begins no more; what is on its way has that long, and comes to another gateway if that is not enough. */
  close(graceMs: number): Promise<void>;
}

/** Time for one post, looking up the name included. */
const timeoutMs = 10_000;
const giveUpAfterMs = 24 * 3_600_000;
const delayMs = { min: 1000, max: 3_600_000 };
/** Posts at once of one gateway, for each kind of end; and of these to one host, so that a slow one leaves room for others. */
const concurrency = 16;
const maxPerHost = 4;
const busyDelayMs = { min: 1000, max: 60_000 };

type Outcome = 'delivered' | 'failed' | 'given_up';

export function deliverWebhooks({ queue, settings, log, metrics }: WebhookParts): Webhooks {
  const stopping = new AbortController();
  const aborting = new AbortController();
  const perHost = new Map<string, number>();
  const lookup = createLookup(settings);
  const posts = metrics.counter({
    name: 'imagemesh_gateway_webhooks_total',
    help: 'Posts to webhooks: delivered, failed (to be tried again) or given_up.',
    labelNames: ['outcome'] as const,
  });

  async function post({ url, event, body }: WebhookDelivery): Promise<'done' | { againAfterMs: number }> {
    const { host } = new URL(url);
    const busy = perHost.get(host) ?? 0;
    const ageMs = Math.max(0, Date.now() - Date.parse(event.time));
    if (busy >= maxPerHost) return { againAfterMs: backoffMs(ageMs, busyDelayMs) };
    perHost.set(host, busy + 1);
    let problem: string;
    try {
      const status = await attempt({ url, event, body });
      if (status >= 200 && status < 300) return count('delivered', 'done');
      // 410: the receiver wants no more.
      if (status === 410) return giveUp('it answered 410 Gone');
      problem = `it answered ${status}`;
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
    } finally {
      const left = (perHost.get(host) ?? 1) - 1;
      if (left === 0) perHost.delete(host);
      else perHost.set(host, left);
    }
    if (ageMs > giveUpAfterMs) return giveUp(problem);
    const againAfterMs = backoffMs(ageMs, delayMs);
    log.warn({ host, jobId: event.subject, problem, againAfterMs }, 'a webhook failed');
    return count('failed', { againAfterMs });

    function giveUp(why: string): 'done' {
      log.error({ host, jobId: event.subject, problem: why }, 'a webhook was given up');
      return count('given_up', 'done');
    }
  }

  function attempt({ url, event, body }: WebhookDelivery): Promise<number> {
    // Settings may have changed since the job was made.
    const refusal = refusalOf(url, settings);
    if (refusal !== undefined) return Promise.reject(new Error(`its URL ${refusal}`));
    return sendWebhook({
      url,
      body,
      lookup,
      headers: {
        'content-type': 'application/cloudevents+json; charset=utf-8',
        'user-agent': 'imagemesh',
        ...signWebhook(settings.secrets, { id: event.id, timeMs: Date.now(), body }),
      },
      signal: AbortSignal.any([aborting.signal, AbortSignal.timeout(timeoutMs)]),
    });
  }

  function count<Result>(outcome: Outcome, result: Result): Result {
    posts.inc({ outcome });
    return result;
  }

  const consuming = queue.consume(post, {
    concurrency,
    stop: stopping.signal,
    onError: (error) => log.error({ err: error }, 'webhooks could not be read from NATS'),
  });

  return {
    async close(graceMs) {
      stopping.abort();
      await Promise.race([consuming, sleep(graceMs, undefined, { ref: false })]);
      aborting.abort();
    },
  };
}

/** As long as the event is old, within limits; a little more or less, so that what failed together does not come together. */
function backoffMs(ageMs: number, { min, max }: typeof delayMs): number {
  return Math.round(Math.min(max, Math.max(min, ageMs)) * (0.8 + 0.4 * Math.random()));
}
