import { create } from '@bufbuild/protobuf';
import { ImageEventSchema, JobEventSchema, TransformEventSchema } from '@imagemesh/api';
import { createLogger } from '@imagemesh/observe';
import { startNats, type TestNats } from '@imagemesh/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createEventFeed, type EventFeed, type EventQuery, type FedEvent } from './event-feed.ts';
import { createEventPublisher, type EventPublisher } from './event-publisher.ts';
import { connectNats, type NatsLink } from './nats-link.ts';

const log = createLogger({ name: 'test', level: 'silent' });
const everything: EventQuery = { types: [], subjects: [], owner: undefined, afterSequence: 0 };

let server: TestNats;
let link: NatsLink;
let feed: EventFeed;
let events: EventPublisher;
let ending: AbortController;

beforeEach(async () => {
  server = await startNats();
  link = connectNats({ url: server.url, name: 'test', log });
  feed = createEventFeed(link, { maxFollowers: 3, heartbeatMs: 200 });
  events = createEventPublisher(link);
  ending = new AbortController();
  await link.ready(ending.signal);
});
afterEach(async () => {
  ending.abort();
  await link.close();
  await server.stop();
});

function job(subject: string, owner = 'alice') {
  return events.publish({
    type: 'imagemesh.job.completed',
    ...{ subject, owner, key: subject, once: true },
    schema: JobEventSchema,
    data: create(JobEventSchema, { jobId: subject }),
  });
}
function image(subject: string, owner = 'alice') {
  return events.publish({
    type: 'imagemesh.image.uploaded',
    ...{ subject, owner },
    schema: ImageEventSchema,
    data: create(ImageEventSchema),
  });
}

/** Follows, and is followed: the first sign of life has come. */
async function follow(query: Partial<EventQuery> = {}) {
  const followed = feed.follow({ ...everything, ...query }, ending.signal)[Symbol.asyncIterator]();
  const first = await followed.next();
  if (first.done === true) throw new Error('the feed has ended');
  expect(first.value.event).toBeUndefined();

  /** The next, signs of life left out. */
  async function next(): Promise<FedEvent> {
    while (true) {
      const item = await followed.next();
      if (item.done === true) throw new Error('the feed has ended');
      if (item.value.event !== undefined) return item.value;
    }
  }
  const subjects = async (count: number) => {
    const seen: (string | undefined)[] = [];
    while (seen.length < count) seen.push((await next()).event?.subject);
    return seen;
  };
  return {
    begun: first.value.sequence,
    next,
    subjects,
    raw: () => followed.next(),
    end: () => followed.return?.(),
  };
}

test('events come as they happen, in order; those before only when asked for by a sequence', async () => {
  await job('before');
  const live = await follow();
  expect(live.begun).toBe(1);
  for (let at = 0; at < 50; at += 1) await job(`job-${at}`);
  expect(await live.subjects(50)).toEqual(Array.from({ length: 50 }, (_, at) => `job-${at}`));
  const resumed = await follow({ afterSequence: 48 });
  expect(await resumed.subjects(3)).toEqual(['job-47', 'job-48', 'job-49']);
});

test('a follower gets the types, subjects and the owner that it asks for', async () => {
  const query = { afterSequence: 1 };
  await image('first');
  await job('a');
  await image('b');
  await job('c', 'bob');
  await job('d');
  const of = async (more: Partial<EventQuery>, count: number) => {
    const { subjects, end } = await follow({ ...query, ...more });
    const seen = await subjects(count);
    await end();
    return seen;
  };
  expect(await of({ types: ['imagemesh.job.completed'] }, 3)).toEqual(['a', 'c', 'd']);
  expect(await of({ owner: 'alice' }, 3)).toEqual(['a', 'b', 'd']);
  expect(await of({ subjects: ['c', 'b'] }, 2)).toEqual(['b', 'c']);
  expect(
    await of({ types: ['imagemesh.job.completed', 'imagemesh.image.uploaded'], owner: 'bob' }, 1),
  ).toEqual(['c']);
});

test('transforms come beside the stream, to their owner', async () => {
  const alice = await follow({ owner: 'alice' });
  const next = alice.next();
  const offer = (subject: string, owner: string) =>
    events.offer({
      type: 'imagemesh.transform.completed',
      ...{ subject, owner },
      schema: TransformEventSchema,
      data: create(TransformEventSchema, { requestId: subject }),
    });
  offer('r-1', 'bob');
  offer('r-2', 'alice');
  expect((await next).event).toMatchObject({ type: 'imagemesh.transform.completed', subject: 'r-2' });
  await job('a');
  expect(await alice.subjects(1)).toEqual(['a']);
  const { first_seq, last_seq } = await link.call(
    async (connection) =>
      (await (await connection.jetstreamManager()).streams.info('IMAGEMESH_EVENTS')).state,
  );
  expect([first_seq, last_seq]).toEqual([1, 1]);
});

test('silence is broken by signs of life that say where to resume, also of events of others', async () => {
  const alice = await follow({ owner: 'alice' });
  await job('a', 'bob');
  await job('b', 'bob');
  while (true) {
    const { value } = await alice.raw();
    expect(value?.event).toBeUndefined();
    if (value?.sequence === 2) break;
  }
});

test('when the server goes the follower is told; after its restart nothing is missed and nothing comes twice', async () => {
  const before = await follow();
  await job('a');
  const { sequence } = await before.next();
  await server.kill();
  await expect(before.next()).rejects.toMatchObject({ code: 'unavailable', reason: 'NATS_UNAVAILABLE' });
  const meanwhile = feed.follow(everything, ending.signal)[Symbol.asyncIterator]();
  await expect(meanwhile.next()).rejects.toMatchObject({ reason: 'NATS_UNAVAILABLE' });
  await server.restart();
  await link.ready(ending.signal);
  await job('a');
  await job('b');
  const resumed = await follow({ afterSequence: sequence });
  expect(await resumed.subjects(1)).toEqual(['b']);
});

test('of a stream that was lost with its server a resumed follower gets all that there is', async () => {
  for (const id of ['a', 'b', 'c']) await job(id);
  await server.kill();
  await server.wipe();
  await server.restart();
  await link.ready(ending.signal);
  await job('d');
  const resumed = await follow({ afterSequence: 3 });
  expect(await resumed.subjects(1)).toEqual(['d']);
});

test('there are as many followers as may be; one that leaves makes room, and its consumer goes', async () => {
  const all = await Promise.all([follow(), follow(), follow()]);
  await expect(follow()).rejects.toMatchObject({ reason: 'OVERLOADED' });
  const pending = all.map(({ next }) => next().catch((error: unknown) => error));
  await job('a');
  await Promise.all(pending);
  await all[0]?.end();
  await follow();
  feed.close();
  for (const { next } of all.slice(1))
    await expect(next()).rejects.toMatchObject({ reason: 'SHUTTING_DOWN' });
  await expect(follow()).rejects.toMatchObject({ reason: 'SHUTTING_DOWN' });
  await expect
    .poll(() =>
      link.call(async (connection) => {
        const { state } = await (await connection.jetstreamManager()).streams.info('IMAGEMESH_EVENTS');
        return state.consumer_count;
      }),
    )
    .toBe(0);
});
