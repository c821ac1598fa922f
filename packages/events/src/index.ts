/** NATS: the connection, the queue of jobs, and events as CloudEvents. */
export { type CloudEvent, EVENT_TYPES, type EventType, isEventType } from './cloud-event.ts';
export {
  createEventFeed,
  type EventFeed,
  type EventFeedOptions,
  type EventQuery,
  type FedEvent,
} from './event-feed.ts';
export {
  createEventPublisher,
  createNoEvents,
  type EventPublisher,
  type EventPublisherOptions,
  type MeshEvent,
  type OwnEventPublisher,
} from './event-publisher.ts';
export { EVENT_STREAM } from './event-stream.ts';
export type { MessageContext } from './headers.ts';
export {
  createJobQueue,
  type JobDelivery,
  type JobQueue,
  type JobQueueOptions,
  type QueuedJob,
  type Settlement,
} from './job-queue.ts';
export { consumerOf, JOB_STREAM, PRIORITIES, type Priority } from './job-subjects.ts';
export type { NatsAuth } from './nats-auth.ts';
export {
  connectNats,
  type Make,
  NATS_CALL_TIMEOUT_MS,
  type NatsLink,
  type NatsLinkOptions,
} from './nats-link.ts';
export { createRunCheck, type RunCheck } from './run-check.ts';
export { createWebhookQueue, type WebhookDelivery, type WebhookQueue } from './webhook-queue.ts';
