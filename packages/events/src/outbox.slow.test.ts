/** Events offered while NATS is away, or goes away with them. */
import { connect as connectSocket, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { JobEventSchema } from '@imagemesh/api';
import { createLogger } from '@imagemesh/observe';
import { startNats, type TestNats } from '@imagemesh/testkit';
import { connect } from 'nats';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { EventType } from './cloud-event.ts';
import {
  createEventPublisher,
  type EventPublisherOptions,
  type OwnEventPublisher,
} from './event-publisher.ts';
import { EVENT_STREAM } from './event-stream.ts';
import { connectNats, type NatsLink } from './nats-link.ts';

const log = createLogger({ name: 'test', level: 'silent' });
const patience = { timeout: 10_000, interval: 20 };

let server: TestNats;
const closing: (() => Promise<void> | void)[] = [];

beforeEach(async () => {
  server = await startNats();
});

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
  await server.stop();
});

function open(
  options: EventPublisherOptions = {},
  url = server.url,
): { link: NatsLink; events: OwnEventPublisher } {
  const link = connectNats({ url, name: 'test', log });
  closing.push(() => link.close());
  return { link, events: createEventPublisher(link, options) };
}

function offer(events: OwnEventPublisher, verb: string, subject: string, key?: string): void {
  // A parse boundary: the tests' own words.
  const type = `imagemesh.${verb}` as EventType;
  const data = create(JobEventSchema, { jobId: subject });
  events.offer({
    type,
    subject,
    owner: 'alice',
    schema: JobEventSchema,
    data,
    ...(key !== undefined && { key }),
  });
}

/** The ids of all events in the stream, in their order. */
async function stored(): Promise<string[]> {
  const connection = await connect({ servers: server.url });
  try {
    const { streams } = await connection.jetstreamManager();
    const { first_seq: first, last_seq: last } = (await streams.info(EVENT_STREAM)).state;
    const ids: string[] = [];
    for (let seq = Math.max(first, 1); seq <= last; seq += 1) {
      const message = await streams.getMessage(EVENT_STREAM, { seq });
      ids.push(message.header.get('Nats-Msg-Id'));
    }
    return ids;
  } finally {
    await connection.close();
  }
}

async function awayFrom(link: NatsLink): Promise<void> {
  await expect.poll(() => link.isConnected, patience).toBe(true);
  await server.kill();
  await expect.poll(() => link.isConnected, patience).toBe(false);
}

/** A way to the server on which its answers can be swallowed, and all connections cut. */
async function startProxy() {
  const sockets = new Set<Socket>();
  let isDeaf = false;
  const proxy = createServer((near) => {
    const far = connectSocket(Number(new URL(server.url).port), '127.0.0.1');
    near.on('data', (bytes) => far.write(bytes));
    far.on('data', (bytes) => isDeaf || near.write(bytes));
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const address = proxy.address();
  if (typeof address !== 'object' || address === null) throw new Error('the proxy has no port');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    isDeaf = false;
  };
  closing.push(() => {
    proxy.close();
    cut();
  });
  return { url: `nats://127.0.0.1:${address.port}`, cut, deafen: () => (isDeaf = true) };
}

test('what is offered while the server is away is in the stream when it is back: in order, once, the progress of a job at its newest', async () => {
  let dropped = 0;
  const { link, events } = open({ onDropped: (count) => (dropped += count) });
  await awayFrom(link);
  offer(events, 'image.uploaded', 'image-1', 'i1');
  offer(events, 'job.created', 'job-1', 'job-1');
  offer(events, 'job.started', 'job-1', 'job-1-2');
  for (let step = 3; step < 8; step += 1) offer(events, 'job.progress', 'job-1', `job-1-${step}`);
  offer(events, 'job.progress', 'job-2', 'job-2-3');
  offer(events, 'transform.completed', 'request-1');
  expect([events.waiting, dropped]).toEqual([5, 1]);
  await server.restart();
  await expect.poll(() => events.waiting, patience).toBe(0);
  offer(events, 'image.deleted', 'image-1', 'd1');
  await expect
    .poll(stored, patience)
    .toEqual([
      'image.uploaded.i1',
      'job.created.job-1',
      'job.started.job-1-2',
      'job.progress.job-1-7',
      'job.progress.job-2-3',
      'image.deleted.d1',
    ]);
  expect(dropped).toBe(1);
});

test('what the stream has, though its word for that was lost, is sent again and there once', async () => {
  const proxy = await startProxy();
  const { link, events } = open({}, proxy.url);
  await expect.poll(() => link.isConnected, patience).toBe(true);
  proxy.deafen();
  for (let at = 0; at < 50; at += 1) offer(events, 'job.started', 'job-1', `job-1-${at}`);
  const ids = Array.from({ length: 50 }, (_, at) => `job.started.job-1-${at}`);
  await expect.poll(stored, patience).toEqual(ids);
  expect(events.waiting).toBe(50);
  proxy.cut();
  await expect.poll(() => events.waiting, patience).toBe(0);
  expect(await stored()).toEqual(ids);
});

test('a stream that is deleted under it is made again, and has what comes', async () => {
  const { link, events } = open();
  await expect.poll(() => link.isConnected, patience).toBe(true);
  await link.call(async (connection) => (await connection.jetstreamManager()).streams.delete(EVENT_STREAM));
  for (const at of [1, 2, 3]) offer(events, 'job.started', 'job-1', `job-1-${at}`);
  await expect.poll(() => events.waiting, patience).toBe(0);
  expect(await stored()).toEqual([1, 2, 3].map((at) => `job.started.job-1-${at}`));
});

test('over its bounds the oldest are dropped and counted, and that is logged once for each time that NATS is away', async () => {
  let dropped = 0;
  const warn = vi.spyOn(log, 'warn');
  const told = () => warn.mock.calls.filter(([, message]) => /dropped/.test(message ?? '')).length;
  const { link, events } = open({
    bounds: { maxCount: 3, maxBytes: 1e6 },
    onDropped: (count) => (dropped += count),
    log,
  });
  for (const round of [1, 2]) {
    await awayFrom(link);
    for (let at = 1; at <= 10; at += 1) offer(events, 'image.uploaded', 'image-1', `${round}-${at}`);
    expect([events.waiting, dropped, told()]).toEqual([3, 7 * round, round]);
    await server.restart();
    await expect.poll(() => events.waiting, patience).toBe(0);
  }
  const kept = [1, 2].flatMap((round) => [8, 9, 10].map((at) => `image.uploaded.${round}-${at}`));
  expect(await stored()).toEqual(kept);
});

test('closing waits for a server that comes back in time, and not for one that does not', async () => {
  let dropped = 0;
  const first = open({ onDropped: (count) => (dropped += count) });
  await awayFrom(first.link);
  offer(first.events, 'image.uploaded', 'image-1', 'a');
  const beganMs = performance.now();
  await first.events.close(300);
  expect(performance.now() - beganMs).toBeLessThan(2000);
  expect(dropped).toBe(1);
  const second = open({ onDropped: (count) => (dropped += count) });
  offer(second.events, 'image.uploaded', 'image-1', 'b');
  const closed = second.events.close(20_000);
  await sleep(300);
  await server.restart();
  await closed;
  expect([await stored(), dropped]).toEqual([['image.uploaded.b'], 1]);
});
