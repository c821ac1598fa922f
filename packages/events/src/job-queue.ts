/**
 * The queue of jobs: a JetStream work queue with a subject and a durable consumer for each priority, pulled by every
 * gateway.
 *
 * A message is only a job's id; the record beside it says what to do and how far it is. It is acknowledged after the
 * job's end is recorded, kept by heartbeats while somebody works on it, and comes back 30 s after the last one.
 */
import { setInterval } from 'node:timers';
import { MeshError } from '@imagemesh/rpc';
import { AckPolicy, DeliverPolicy, DiscardPolicy, type Msg, nanos, RetentionPolicy, StorageType } from 'nats';
import { parseAckSubject } from './ack-subject.ts';
import { fromHeaders, type MessageContext, toHeaders } from './headers.ts';
import { type Consuming, consumeByPriority } from './job-consumer.ts';
import { consumerOf, JOB_STREAM, jobSubject, PRIORITIES, type Priority } from './job-subjects.ts';
import { isNoMessage } from './nats-errors.ts';
import type { NatsLink } from './nats-link.ts';
import { againAfter, settle } from './settle.ts';
import { dropOtherConsumers, dropSettled, ensureConsumer, ensureStream } from './streams.ts';

/** A job as the queue knows it. */
export interface QueuedJob {
  readonly jobId: string;
  readonly priority: Priority;
}

/** One handing-over of a job to a worker. */
export interface JobDelivery extends MessageContext {
  readonly jobId: string;
  /** The message's place in the stream: the same for each delivery of the same message. */
  readonly sequence: number;
  /** How often this message has been delivered, this time included. */
  readonly deliveries: number;
}

/** What becomes of the message when its handler ends; "leave": comes back when its time is up. */
export type Settlement =
  | { readonly kind: 'done' }
  | { readonly kind: 'again'; readonly delayMs: number }
  | { readonly kind: 'leave' };

export interface JobQueue {
  /** NATS_UNAVAILABLE if NATS cannot be reached: asked before work is done for a job that could not be queued. */
  checkReachable(): Promise<void>;
  /**
   * Puts the job in the queue; again with the same `once` within two minutes changes nothing. QUEUE_FULL,
   * NATS_UNAVAILABLE; it may be in the queue even so.
   */
  enqueue(job: QueuedJob, once: string, context: MessageContext): Promise<void>;
  /** Whether that message is still in the queue, waiting or being worked on. */
  holds(sequence: number): Promise<boolean>;
  /** Whether any message of the job is. */
  hasMessage(job: QueuedJob): Promise<boolean>;
  /**
   * Hands jobs to the handler until `stop` aborts; resolves when the last handler has ended. A handler that throws
   * hands its job back. Waits for NATS where it must.
   */
  consume(
    handler: (delivery: JobDelivery) => Promise<Settlement>,
    options: {
      /** Jobs that may be worked on now; asked again and again. */
      readonly limit: () => number;
      readonly stop: AbortSignal;
      readonly onError: (error: unknown) => void;
    },
  ): Promise<void>;
}

export interface JobQueueOptions {
  /** A message comes back this long after its last heartbeat. Default 30 s. */
  readonly ackWaitMs?: number;
  /** Default a third of ackWaitMs. */
  readonly heartbeatMs?: number;
}

/** About 200,000 jobs. */
const maxStreamBytes = 64 * 1024 ** 2;
/** As long as the records of jobs live. */
const maxAgeMs = 7 * 24 * 3_600_000;
const duplicateWindowMs = 120_000;
/** Jobs worked on at once by all gateways together. */
const maxInFlight = 4096;
const tidyEveryMs = 60_000;
const afterErrorMs = 1000;

export function createJobQueue(link: NatsLink, options: JobQueueOptions = {}): JobQueue {
  const { ackWaitMs = 30_000, heartbeatMs = ackWaitMs / 3 } = options;
  const consumers = PRIORITIES.map(consumerOf);
  link.keep(async (connection, { replicas }) => {
    await ensureStream(connection, {
      name: JOB_STREAM,
      subjects: ['imagemesh.jobs.>'],
      retention: RetentionPolicy.Workqueue,
      storage: StorageType.File,
      discard: DiscardPolicy.New,
      max_bytes: maxStreamBytes,
      max_age: nanos(maxAgeMs),
      duplicate_window: nanos(duplicateWindowMs),
      num_replicas: replicas,
    });
    await dropOtherConsumers(connection, JOB_STREAM, consumers);
    for (const priority of PRIORITIES) {
      await ensureConsumer(connection, JOB_STREAM, {
        durable_name: consumerOf(priority),
        filter_subject: jobSubject(priority, '*'),
        deliver_policy: DeliverPolicy.All,
        ack_policy: AckPolicy.Explicit,
        ack_wait: nanos(ackWaitMs),
        // Attempts are counted in the job's record: not every delivery is one.
        max_deliver: -1,
        max_ack_pending: maxInFlight,
      });
    }
    await dropSettled(connection, JOB_STREAM, consumers);
  });

  async function handle(
    message: Msg,
    handler: (delivery: JobDelivery) => Promise<Settlement>,
    onError: (error: unknown) => void,
  ): Promise<void> {
    const place = parseAckSubject(message.reply ?? '');
    const jobId = parseJobId(message);
    // Not ours: nothing could ever be done with it.
    if (place === undefined || jobId === undefined) return settle(link, message, '+TERM');
    const heartbeat = setInterval(() => {
      void settle(link, message, '+WPI');
    }, heartbeatMs);
    try {
      const { sequence, deliveries } = place;
      const settlement = await handler({ jobId, sequence, deliveries, ...fromHeaders(message.headers) });
      switch (settlement.kind) {
        case 'done':
          return await settle(link, message, '+ACK');
        case 'again':
          return await settle(link, message, againAfter(settlement.delayMs));
        case 'leave':
          return;
        default:
          settlement satisfies never;
      }
    } catch (error) {
      onError(error);
      await settle(link, message, againAfter(afterErrorMs));
    } finally {
      clearInterval(heartbeat);
    }
  }

  let tidiedMs = 0;
  /** In a quiet moment, now and then. */
  async function tidy(): Promise<void> {
    if (Date.now() - tidiedMs < tidyEveryMs) return;
    tidiedMs = Date.now();
    await link.call((connection) => dropSettled(connection, JOB_STREAM, consumers)).catch(() => {});
  }

  function isThere(query: { readonly seq: number } | { readonly last_by_subj: string }): Promise<boolean> {
    return link.call(async (connection) => {
      const manager = await connection.jetstreamManager({ checkAPI: false, timeout: 1000 });
      try {
        await manager.streams.getMessage(JOB_STREAM, query);
        return true;
      } catch (error) {
        if (isNoMessage(error)) return false;
        throw error;
      }
    });
  }

  return {
    checkReachable: () => link.call(async () => {}),
    async enqueue({ jobId, priority }, once, context) {
      try {
        await link.call((connection) =>
          connection.jetstream().publish(jobSubject(priority, jobId), JSON.stringify({ job_id: jobId }), {
            msgID: once,
            headers: toHeaders(context),
          }),
        );
      } catch (error) {
        if (!(error instanceof MeshError) || error.reason !== 'STORE_FULL') throw error;
        throw new MeshError('QUEUE_FULL', 'the queue of jobs is full', {
          cause: error.cause,
          retryAfterMs: 10_000,
        });
      }
    },
    holds: (sequence) => isThere({ seq: sequence }),
    hasMessage: ({ jobId, priority }) => isThere({ last_by_subj: jobSubject(priority, jobId) }),
    consume(handler, { limit, stop, onError }) {
      const consuming: Consuming = {
        link,
        limit,
        stop,
        onError,
        onIdle: tidy,
        handle: (message) => handle(message, handler, onError),
        handBack: (message) => settle(link, message, '-NAK'),
      };
      return consumeByPriority(consuming);
    },
  };
}

function parseJobId(message: Msg): string | undefined {
  try {
    const value: unknown = message.json();
    if (typeof value !== 'object' || value === null || !('job_id' in value)) return undefined;
    return typeof value.job_id === 'string' ? value.job_id : undefined;
  } catch {
    return undefined;
  }
}
