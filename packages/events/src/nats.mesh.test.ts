// Longer than most: what each test takes from NATS needs the same server and the same links to it.
import { connect as connectSocket, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { JobEventSchema } from '@imagemesh/api';
import { createLogger, newTrace } from '@imagemesh/observe';
import { startNats, type TestNats } from '@imagemesh/testkit';
import { AckPolicy, connect, RetentionPolicy } from 'nats';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createEventPublisher } from './event-publisher.ts';
import { EVENT_STREAM } from './event-stream.ts';
import type { MessageContext } from './headers.ts';
import { createJobQueue, type JobDelivery, type JobQueue, type Settlement } from './job-queue.ts';
import type { Priority } from './job-subjects.ts';
import { connectNats, NATS_CALL_TIMEOUT_MS, type NatsLink } from './nats-link.ts';

const log = createLogger({ name: 'test', level: 'silent' });
const context = { trace: newTrace(), requestId: 'request-1' };

let server: TestNats;
let link: NatsLink;
let stopping: AbortController;

beforeEach(async () => {
  server = await startNats();
  link = connectNats({ url: server.url, name: 'test', log });
  stopping = new AbortController();
});

afterEach(async () => {
  stopping.abort();
  await link.close();
  await server.stop();
});

async function until(isTrue: () => boolean | Promise<boolean>, withinMs = 5000): Promise<void> {
  const end = Date.now() + withinMs;
  while (!(await isTrue())) {
    if (Date.now() > end) throw new Error('it does not come true');
    await sleep(20);
  }
}

/** A way to the server on which words can be held back while connections stay open. */
async function startSilenceable(port: number) {
  const sockets = new Set<Socket>();
  const proxy = createServer((near) => {
    const far = connectSocket(port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (bytes) => to.write(bytes));
      from.on('error', () => {});
      from.on('close', () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const address = proxy.address();
  if (typeof address !== 'object' || address === null) throw new Error('the proxy has no port');
  return {
    url: `nats://127.0.0.1:${address.port}`,
    silence(isSilent: boolean) {
      for (const socket of sockets) isSilent ? socket.pause() : socket.resume();
    },
    close() {
      proxy.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function consume(handler: (delivery: JobDelivery) => Promise<Settlement>, ackWaitMs = 1000, concurrency = 1) {
  const queue = createJobQueue(link, { ackWaitMs });
  const ended = queue.consume(handler, {
    limit: () => concurrency,
    stop: stopping.signal,
    onError: () => {},
  });
  return { queue, ended };
}

function put(queue: JobQueue, jobId: string, of: MessageContext, priority: Priority = 'normal') {
  return queue.enqueue({ jobId, priority }, jobId, of);
}

const done: Settlement = { kind: 'done' };

test('a job is delivered once, with its context, however often it is put in', async () => {
  const deliveries: JobDelivery[] = [];
  const { queue } = consume(async (delivery) => {
    deliveries.push(delivery);
    return done;
  });
  await put(queue, 'job-1', context);
  await put(queue, 'job-1', context);
  await put(queue, 'job-2', {});
  await until(() => deliveries.length === 2);
  await sleep(1500);
  expect(deliveries).toEqual([
    { jobId: 'job-1', sequence: 1, deliveries: 1, ...context },
    { jobId: 'job-2', sequence: 2, deliveries: 1, trace: undefined, requestId: undefined },
  ]);
  expect(await queue.holds(1)).toBe(false);
});

test('a job that is worked on longer than ack_wait is kept by heartbeats', async () => {
  let deliveries = 0;
  const { queue } = consume(async () => {
    deliveries += 1;
    await sleep(2500);
    return done;
  });
  await put(queue, 'job-1', context);
  await until(() => deliveries === 1);
  expect(await queue.holds(1)).toBe(true);
  await until(async () => !(await queue.holds(1)));
  expect(deliveries).toBe(1);
});

test('a job handed back comes again after its delay; one whose handler throws or leaves it comes again too', async () => {
  const times: number[] = [];
  const settlements: (Settlement | Error)[] = [
    { kind: 'again', delayMs: 300 },
    new Error('bug'),
    { kind: 'leave' },
    done,
  ];
  const { queue } = consume(async () => {
    times.push(Date.now());
    const settlement = settlements[times.length - 1] ?? done;
    if (settlement instanceof Error) throw settlement;
    return settlement;
  });
  await put(queue, 'job-1', context);
  await until(() => times.length === 4, 8000);
  const [first = 0, second = 0, third = 0, fourth = 0] = times;
  expect(second - first).toBeGreaterThanOrEqual(280);
  expect(second - first).toBeLessThan(900);
  expect(third - second).toBeGreaterThanOrEqual(900);
  expect(fourth - third).toBeGreaterThanOrEqual(900);
  await until(async () => !(await queue.holds(1)));
});

test('no more jobs than the concurrency run at once, and stopping waits for them', async () => {
  let running = 0;
  let most = 0;
  let finished = 0;
  const { queue, ended } = consume(
    async () => {
      running += 1;
      most = Math.max(most, running);
      await sleep(300);
      running -= 1;
      finished += 1;
      return done;
    },
    30_000,
    3,
  );
  for (let job = 0; job < 8; job += 1) await put(queue, `job-${job}`, context);
  await until(() => running === 3);
  stopping.abort();
  await ended;
  expect(most).toBe(3);
  expect(finished).toBe(3);
});

test('jobs of a higher priority come first, and of each there is a way to tell whether it is queued', async () => {
  const queue = createJobQueue(link);
  for (const [at, priority] of (['low', 'normal', 'high', 'low', 'normal', 'high'] as const).entries())
    await put(queue, `job-${at}`, context, priority);
  expect(await queue.hasMessage({ jobId: 'job-2', priority: 'high' })).toBe(true);
  expect(await queue.hasMessage({ jobId: 'job-2', priority: 'low' })).toBe(false);
  const seen: string[] = [];
  const handler = async ({ jobId }: JobDelivery) => {
    seen.push(jobId);
    return done;
  };
  void queue.consume(handler, { limit: () => 1, stop: stopping.signal, onError: () => {} });
  await until(() => seen.length === 6);
  expect(seen.slice(0, 2)).toEqual(['job-2', 'job-5']);
  await until(async () => !(await queue.hasMessage({ jobId: 'job-2', priority: 'high' })));
});

test('a consumer of an earlier release, which a work queue would not have beside others, makes way', async () => {
  await link.call(async (connection) => {
    const { streams, consumers } = await connection.jetstreamManager();
    await streams.add({
      name: 'IMAGEMESH_JOBS',
      subjects: ['imagemesh.jobs.>'],
      retention: RetentionPolicy.Workqueue,
    });
    await consumers.add('IMAGEMESH_JOBS', { durable_name: 'gateway', ack_policy: AckPolicy.Explicit });
  });
  const seen: string[] = [];
  const { queue } = consume(async ({ jobId }) => {
    seen.push(jobId);
    return done;
  });
  await put(queue, 'job-1', context);
  await until(() => seen.length === 1);
});

test('a job taken before the server restarts is finished after it, and the queue goes on', async () => {
  const seen: string[] = [];
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { queue } = consume(async ({ jobId }) => {
    seen.push(jobId);
    if (seen.length === 1) await held;
    return done;
  }, 3000);
  await put(queue, 'job-1', context);
  await put(queue, 'job-2', context);
  await until(() => seen.length === 1);
  await server.kill();
  await until(() => !link.isConnected);
  await server.restart();
  await until(() => link.isConnected);
  release();
  await until(() => seen.length === 2);
  await until(async () => !(await queue.holds(1)) && !(await queue.holds(2)));
  expect(seen).toEqual(['job-1', 'job-2']);
});

test('a server that comes back empty is of use at once', async () => {
  const seen: string[] = [];
  const { queue } = consume(async ({ jobId }) => {
    seen.push(jobId);
    return done;
  });
  await put(queue, 'job-1', context);
  await until(() => seen.length === 1);
  await server.kill();
  await server.wipe();
  await server.restart();
  await until(() => link.isConnected);
  await put(queue, 'job-2', context);
  await until(() => seen.length === 2, 3000);
});

test('a stream deleted under the mesh is made again by the next call', async () => {
  const { queue } = consume(async () => done);
  await put(queue, 'job-1', context);
  await link.call(async (connection) =>
    (await connection.jetstreamManager()).streams.delete('IMAGEMESH_JOBS'),
  );
  await put(queue, 'job-2', context);
  await until(async () => !(await queue.holds(1)), 15_000);
});

test('without a server a call fails within a second, and succeeds once there is one', async () => {
  await server.kill();
  const queue = createJobQueue(link);
  const events = createEventPublisher(link);
  await until(() => !link.isConnected);
  for (const call of [() => put(queue, 'job-1', context), () => queue.checkReachable()]) {
    const began = Date.now();
    await expect(call()).rejects.toMatchObject({ reason: 'NATS_UNAVAILABLE', code: 'unavailable' });
    expect(Date.now() - began).toBeLessThan(1000);
  }
  events.offer({
    type: 'imagemesh.job.started',
    subject: 'a',
    owner: 'anonymous',
    schema: JobEventSchema,
    data: create(JobEventSchema),
  });
  await server.restart();
  await until(() => link.isConnected, 3000);
  await put(queue, 'job-1', context);
});

test('a server that hangs counts as down', async () => {
  const between = await startSilenceable(Number(new URL(server.url).port));
  const slow = connectNats({ url: between.url, name: 'test', log });
  try {
    const queue = createJobQueue(slow);
    await put(queue, 'job-1', context);
    between.silence(true);
    const began = Date.now();
    await expect(put(queue, 'job-2', context)).rejects.toMatchObject({ reason: 'NATS_UNAVAILABLE' });
    expect(Date.now() - began).toBeLessThan(NATS_CALL_TIMEOUT_MS + 100);
    between.silence(false);
    await put(queue, 'job-3', context);
  } finally {
    await slow.close();
    between.close();
  }
});

test('closing while the server cannot be reached ends soon', async () => {
  const lost = connectNats({ url: 'nats://127.0.0.1:1', name: 'test', log });
  await sleep(300);
  const began = Date.now();
  await lost.close();
  expect(Date.now() - began).toBeLessThan(1500);
  await expect(lost.call(async () => 1)).rejects.toMatchObject({ reason: 'NATS_UNAVAILABLE' });
});

test('an event is a CloudEvent in the stream; one that may be there once is there once', async () => {
  const dropped: number[] = [];
  const events = createEventPublisher(link, {
    onDropped: () => dropped.push(1),
    now: () => 1_700_000_000_000,
  });
  const other = createEventPublisher(link);
  const event = {
    type: 'imagemesh.job.completed',
    subject: 'job-1',
    owner: 'alice',
    key: 'job-1',
    schema: JobEventSchema,
    data: create(JobEventSchema, { jobId: 'job-1', durationMs: 12 }),
    once: true,
    ...context,
  } as const;
  await events.publish(event);
  await events.publish(event);
  await other.publish(event);
  events.offer({ ...event, subject: 'no good id!', key: 'another', once: false });
  await until(async () => (await count()) === 2);
  expect(dropped).toEqual([]);
  const connection = await connect({ servers: server.url });
  try {
    const { streams } = await connection.jetstreamManager();
    const stored = await streams.getMessage(EVENT_STREAM, { seq: 1 });
    expect(stored.subject).toBe('imagemesh.events.job.completed.job-1');
    expect(stored.header.get('x-request-id')).toBe('request-1');
    expect(stored.header.get('Nats-Msg-Id')).toBe('job.completed.job-1');
    expect(stored.json()).toMatchObject({
      specversion: '1.0',
      id: 'job.completed.job-1',
      type: 'imagemesh.job.completed',
      source: '/imagemesh',
      subject: 'job-1',
      owner: 'alice',
      time: '2023-11-14T22:13:20.000Z',
      data: { jobId: 'job-1', durationMs: 12 },
    });
  } finally {
    await connection.close();
  }

  async function count(): Promise<number> {
    return link.call(async (connection) => {
      const { streams } = await connection.jetstreamManager();
      return (await streams.info(EVENT_STREAM)).state.messages;
    });
  }
});
