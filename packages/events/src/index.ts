/** NATS: the connection, the queue of jobs, and events as CloudEvents. */
export { type CloudEvent, type CloudEventParts, eventSubject, toCloudEvent } from './cloud-event.ts';
export {
  createEventPublisher,
  createNoEvents,
  EVENT_STREAM,
  type EventPublisher,
  type EventPublisherOptions,
  eventLimits,
  type MeshEvent,
} from './event-publisher.ts';
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
export { connectNats, type Make, type NatsLink, type NatsLinkOptions } from './nats-link.ts';
export { createRunCheck, type RunCheck } from './run-check.ts';
