/** What callers hear when NATS is there, and has no room. */
import { connectNats, createJobQueue, JOB_STREAM, type NatsLink } from '@imagemesh/events';
import { createLogger } from '@imagemesh/observe';
import { openNatsRecords } from '@imagemesh/store';
import { startNats, type TestNats } from '@imagemesh/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';

const log = createLogger({ name: 'test', level: 'silent' });
const maxBytes = 20_000;

let server: TestNats;
let link: NatsLink;
beforeAll(async () => {
  server = await startNats();
  link = connectNats({ url: server.url, name: 'test', log });
});
afterAll(async () => {
  await link?.close();
  await server?.stop();
});

test('a bucket that is full takes no new record, with STORE_FULL, and what is there stays', async () => {
  const codec = {
    encode: (text: string) => Buffer.from(text),
    decode: (bytes: Uint8Array) => Buffer.from(bytes).toString(),
  };
  const records = openNatsRecords(link, { bucket: 'tiny', codec, maxBytes });
  const value = 'x'.repeat(1000);
  const fill = async () => {
    for (let at = 0; at < 100; at += 1) await records.create(`key-${at}`, value);
  };
  await expect(fill()).rejects.toMatchObject({
    reason: 'STORE_FULL',
    code: 'resource_exhausted',
    retryAfterMs: 10_000,
  });
  expect((await records.get('key-0'))?.value).toBe(value);
});

test('a queue that is full takes no new job, with QUEUE_FULL', async () => {
  const queue = createJobQueue(link);
  const fill = async () => {
    for (let at = 0; at < 1000; at += 1)
      await queue.enqueue({ jobId: `job-${at}`, priority: 'normal' }, `job-${at}`, {});
  };
  await queue.enqueue({ jobId: 'first', priority: 'normal' }, 'first', {});
  await link.call(async (connection) => {
    const { streams } = await connection.jetstreamManager();
    await streams.update(JOB_STREAM, { max_bytes: maxBytes });
  });
  await expect(fill()).rejects.toMatchObject({
    reason: 'QUEUE_FULL',
    code: 'resource_exhausted',
    retryAfterMs: 10_000,
  });
});
