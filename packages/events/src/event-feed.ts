/**
 * Events in, for any number of followers. Each has a consumer of its own in the server and asks for one event after the
 * other, so that one that reads slowly holds nothing up and takes no memory; what comes beside the stream is dropped
 * for it.
 */
import { MeshError } from '@imagemesh/rpc';
import { AckPolicy, DeliverPolicy, type NatsConnection, nanos, ReplayPolicy } from 'nats';
import { parseAckSubject } from './ack-subject.ts';
import { type CloudEvent, type EventType, parseCloudEvent } from './cloud-event.ts';
import { EVENT_STREAM } from './event-stream.ts';
import type { NatsLink } from './nats-link.ts';
import { pullOne } from './pull.ts';

export interface EventQuery {
  /** Empty for all. */
  readonly types: readonly EventType[];
  /** Ids of jobs or images, request ids of transforms; empty for all. */
  readonly subjects: readonly string[];
  /** Whose; undefined: everybody's. */
  readonly owner: string | undefined;
  /** 0: from now on. */
  readonly afterSequence: number;
}

export interface FedEvent {
  /** Where to resume. */
  readonly sequence: number;
  /** Undefined in a sign of life. */
  readonly event: CloudEvent | undefined;
}

export interface EventFeed {
  /**
   * A sign of life at once, then events, until the signal fires. OVERLOADED with too many followers; NATS_UNAVAILABLE
   * once the connection is lost; SHUTTING_DOWN.
   */
  follow(query: EventQuery, signal: AbortSignal): AsyncIterable<FedEvent>;
  /** Ends every follower. */
  close(): void;
}

export interface EventFeedOptions {
  readonly maxFollowers: number;
  /** Silence after which there is a sign of life. Default 10 s. */
  readonly heartbeatMs?: number;
}

/** The server drops the consumer of a follower that has asked for nothing for so long. */
const inactiveMs = 60_000;
/** Transforms that wait for a slow follower. */
const maxWaitingTransforms = 256;

export function createEventFeed(
  link: NatsLink,
  { maxFollowers, heartbeatMs = 10_000 }: EventFeedOptions,
): EventFeed {
  const closing = new AbortController();
  let followers = 0;

  async function* followCounted(query: EventQuery, parent: AbortSignal): AsyncIterable<FedEvent> {
    const { connection, from } = await link.call(async (on) => ({
      connection: on,
      from: await firstSequence(on, query.afterSequence),
    }));
    const left = new AbortController();
    const signal = AbortSignal.any([parent, left.signal, closing.signal]);
    const isWanted = createFilter(query);
    const transforms = listenForTransforms(connection, query, isWanted);
    let sequence = from - 1;
    let consumer: { readonly name: string; lastPlace: number } | undefined;
    let pulling: ReturnType<typeof pullOne> | undefined;
    let spokeMs = performance.now();
    try {
      yield { sequence, event: undefined };
      while (!signal.aborted) {
        for (const event of transforms.take()) {
          yield { sequence, event };
          spokeMs = performance.now();
        }
        consumer ??= { name: await openConsumer(link, query.types, sequence + 1), lastPlace: 0 };
        if (connection.isClosed()) throw connectionLost();
        pulling ??= pullOne(connection, {
          stream: EVENT_STREAM,
          consumer: consumer.name,
          expiresMs: heartbeatMs,
          signal,
        });
        const pulled = await Promise.race([pulling, transforms.waiting()]);
        if (pulled === undefined) continue;
        pulling = undefined;
        if (signal.aborted) break;
        if (pulled.kind === 'missing') consumer = undefined;
        if (pulled.kind === 'message' && consumer !== undefined) {
          const place = parseAckSubject(pulled.message.reply ?? '');
          // One got lost between: begin again after the last that came.
          if (place === undefined || place.consumerSequence !== consumer.lastPlace + 1) {
            consumer = undefined;
            continue;
          }
          consumer.lastPlace = place.consumerSequence;
          sequence = place.sequence;
          const event = parseCloudEvent(pulled.message.data);
          if (event !== undefined && isWanted(event)) {
            yield { sequence, event };
            spokeMs = performance.now();
          }
        }
        if (performance.now() - spokeMs >= heartbeatMs) {
          yield { sequence, event: undefined };
          spokeMs = performance.now();
        }
      }
      if (closing.signal.aborted && !parent.aborted) throw closing.signal.reason;
    } finally {
      left.abort();
      transforms.stop();
      if (consumer !== undefined && !connection.isClosed()) void dropConsumer(link, consumer.name);
    }
  }

  return {
    async *follow(query, signal) {
      closing.signal.throwIfAborted();
      if (followers >= maxFollowers) {
        throw new MeshError('OVERLOADED', `${maxFollowers} clients follow events already`, {
          metadata: { limit: 'MAX_WATCHERS' },
        });
      }
      followers += 1;
      try {
        yield* followCounted(query, signal);
      } finally {
        followers -= 1;
      }
    },
    close: () => closing.abort(new MeshError('SHUTTING_DOWN', 'the gateway is stopping; watch again')),
  };
}

function connectionLost(): MeshError {
  return new MeshError('NATS_UNAVAILABLE', 'the connection to NATS was lost; watch again');
}

async function firstSequence(connection: NatsConnection, afterSequence: number): Promise<number> {
  const { streams } = await connection.jetstreamManager({ checkAPI: false, timeout: 1000 });
  const { first_seq: first, last_seq: last } = (await streams.info(EVENT_STREAM)).state;
  if (afterSequence === 0) return last + 1;
  // Of a stream that was lost: all that there is.
  return afterSequence > last ? Math.max(first, 1) : afterSequence + 1;
}

/** An ephemeral consumer that hands out what comes from that sequence on; its name. */
function openConsumer(link: NatsLink, types: readonly EventType[], from: number): Promise<string> {
  return link.call(async (connection) => {
    const { consumers } = await connection.jetstreamManager({ checkAPI: false, timeout: 1000 });
    const { name } = await consumers.add(EVENT_STREAM, {
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: from,
      ack_policy: AckPolicy.None,
      replay_policy: ReplayPolicy.Instant,
      filter_subject: filterSubject(types),
      inactive_threshold: nanos(inactiveMs),
      mem_storage: true,
      num_replicas: 1,
    });
    return name;
  });
}

/** Spares the server the wait for it to be inactive. */
function dropConsumer(link: NatsLink, name: string): Promise<unknown> {
  return link
    .call(async (connection) => {
      const { consumers } = await connection.jetstreamManager({ checkAPI: false, timeout: 1000 });
      await consumers.delete(EVENT_STREAM, name);
    })
    .catch(() => {});
}

/** A server of 2.9 takes one filter only. */
function filterSubject(types: readonly EventType[]): string {
  const kinds = new Set(types.map((type) => type.split('.')[1]));
  const [type] = types;
  if (type !== undefined && types.length === 1)
    return `imagemesh.events.${type.slice('imagemesh.'.length)}.>`;
  return kinds.size === 1 ? `imagemesh.events.${[...kinds].join()}.>` : 'imagemesh.events.>';
}

function createFilter({ types, subjects, owner }: EventQuery): (event: CloudEvent) => boolean {
  const wanted: ReadonlySet<string> = new Set(types);
  const about = new Set(subjects);
  return (event) =>
    (owner === undefined || event.owner === owner) &&
    (wanted.size === 0 || wanted.has(event.type)) &&
    (about.size === 0 || about.has(event.subject));
}

interface Transforms {
  take(): readonly CloudEvent[];
  /** Resolves to undefined once there is one. */
  waiting(): Promise<undefined>;
  stop(): void;
}

function listenForTransforms(
  connection: NatsConnection,
  { types }: EventQuery,
  isWanted: (event: CloudEvent) => boolean,
): Transforms {
  let waiting: CloudEvent[] = [];
  let wake = () => {};
  const isAsked = types.length === 0 || types.includes('imagemesh.transform.completed');
  const subscription = isAsked
    ? connection.subscribe('imagemesh.events.transform.>', {
        callback: (error, message) => {
          const event = error === null ? parseCloudEvent(message.data) : undefined;
          if (event === undefined || !isWanted(event) || waiting.length >= maxWaitingTransforms) return;
          waiting.push(event);
          wake();
        },
      })
    : undefined;
  return {
    take() {
      const taken = waiting;
      waiting = [];
      return taken;
    },
    waiting: () =>
      new Promise((resolve) => {
        wake = () => resolve(undefined);
        if (waiting.length > 0) wake();
      }),
    stop() {
      if (subscription !== undefined && !connection.isClosed()) subscription.unsubscribe();
    },
  };
}
