/** What of the gateway needs NATS: events and jobs. */
import {
  connectNats,
  createEventPublisher,
  createJobQueue,
  createNoEvents,
  createRunCheck,
  type EventPublisher,
  type NatsLink,
  type OwnEventPublisher,
} from '@imagemesh/events';
import type { Logger, Metrics } from '@imagemesh/observe';
import { type BlobStore, type Claims, openNatsRecords } from '@imagemesh/store';
import type { Balancers } from './balancers.ts';
import type { Config } from './config.ts';
import { createCapacity } from './jobs/capacity.ts';
import { holdResults } from './jobs/hold-results.ts';
import { createJobs, type Jobs } from './jobs/jobs.ts';
import { createNoJobs } from './jobs/no-jobs.ts';
import { jobBucket, requestBucket } from './jobs/record.ts';
import { createRunOnce } from './jobs/run-once.ts';
import type { createStoreImage } from './store-image.ts';
import type { Variants } from './variants.ts';
import { createWebhookCheck } from './webhooks/webhook-address.ts';

/** Without a NATS_URL events go nowhere. */
export function openEvents(
  { natsUrl, natsAuth, natsReplicas: replicas }: Config,
  { log, gatewayId, onDropped }: { log: Logger; gatewayId: string; onDropped: (count: number) => void },
): { link: NatsLink | undefined; events: OwnEventPublisher } {
  if (natsUrl === '') return { link: undefined, events: createNoEvents() };
  const link = connectNats({ url: natsUrl, auth: natsAuth, name: gatewayId, log, replicas });
  return {
    link,
    events: createEventPublisher(link, { onDropped, log }),
  };
}

export interface JobParts {
  readonly link: NatsLink | undefined;
  readonly events: EventPublisher;
  readonly claims: Claims;
  readonly store: BlobStore;
  readonly balancers: Balancers;
  readonly storeImage: ReturnType<typeof createStoreImage>;
  readonly variants: Variants;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly gatewayId: string;
  readonly signal: AbortSignal;
}

/** Without NATS every call of jobs is NATS_UNAVAILABLE. */
export function openJobs({ calls, retention, webhooks }: Config, parts: JobParts): Jobs {
  const { link, store, balancers, variants, signal, ...rest } = parts;
  if (link === undefined) return createNoJobs();
  const capacity = createCapacity({ balancers, maxJobs: calls.jobConcurrency, signal });
  return createJobs({
    ...rest,
    checkVariants: variants.checkVariants,
    checkWebhook: createWebhookCheck(webhooks),
    openRunVariant: (findResult) =>
      holdResults(
        createRunOnce({ findResult, store, metrics: parts.metrics, runVariant: variants.runVariant }),
        { ttlMs: retention.resultTtlMs },
      ),
    records: openNatsRecords(link, jobBucket),
    requests: openNatsRecords(link, requestBucket),
    queue: createJobQueue(link),
    openRunCheck: (hasRun) => createRunCheck(link, { gatewayId: parts.gatewayId, hasRun }),
    limit: (running) => capacity.limit(running),
  });
}
