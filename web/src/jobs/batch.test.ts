import { Code, ConnectError, createClient, createRouterTransport } from '@connectrpc/connect';
import { ErrorInfoSchema, JobService, RetryInfoSchema } from '@imagemesh/api';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Clients } from '../mesh/clients.ts';
import { type Batch, createBatch } from './batch.ts';

const page = new EventTarget();
/** The ids under which each file was sent. */
let asked: Map<string, string[]>;
let made: string[];
/** Throws what a file is refused with. */
let check: (name: string) => void;
let running: number;
let peak: number;
let batch: Batch;

const files = (count: number) => Array.from({ length: count }, (_, at) => new File([`${at}`], `${at}.jpg`));
const info = { desc: ErrorInfoSchema, value: { reason: 'NATS_UNAVAILABLE', domain: 'imagemesh' } };
const retryIn = (nanos: number) => ({ desc: RetryInfoSchema, value: { retryDelay: { nanos } } });
const away = () => new ConnectError('NATS is away.', Code.Unavailable, undefined, [info, retryIn(5e6)]);

beforeEach(() => {
  vi.stubGlobal('window', page);
  [asked, made, running, peak] = [new Map(), [], 0, 0];
  check = () => {};
  const transport = createRouterTransport(({ service }) => {
    service(JobService, {
      async createJob({ requestId, labels }) {
        peak = Math.max(peak, ++running);
        await new Promise((resolve) => setTimeout(resolve));
        running--;
        const name = labels.file ?? '';
        asked.set(name, [...(asked.get(name) ?? []), requestId]);
        check(name);
        return { job: { id: requestId, labels } };
      },
    });
  });
  // Of the clients it takes one: the files are small.
  const clients = { jobs: createClient(JobService, transport) } as unknown as Clients;
  batch = createBatch(clients, ({ labels }) => made.push(labels.file ?? ''));
});

afterEach(() => vi.unstubAllGlobals());

const isEmpty = () => expect.poll(() => batch.files.value.length, { interval: 1 }).toBe(0);

it('makes a job of every file, two at a time', async () => {
  batch.add(files(9), []);
  await isEmpty();
  expect(made.toSorted()).toEqual(files(9).map(({ name }) => name));
  expect(peak).toBe(2);
});

it('waits with all files while the mesh is away, says why, and then makes one job of each', async () => {
  let refusals = 0;
  check = (name) => {
    if (name === '4.jpg' && refusals++ < 3) throw away();
  };
  const reasons: (string | undefined)[] = [];
  const unwatch = batch.held.subscribe((failure) => reasons.push(failure?.message));
  batch.add(files(9), []);
  await isEmpty();
  unwatch();
  expect(reasons).toContain('NATS is away.');
  expect(refusals).toBe(4);
  expect(batch.held.value).toBeUndefined();
  expect(made.toSorted()).toEqual(files(9).map(({ name }) => name));
});

it('sends a file again under the same id, at once when the network is back', async () => {
  let isAway = true;
  check = () => {
    if (isAway) throw new ConnectError('full', Code.ResourceExhausted, undefined, [info, retryIn(9e8)]);
  };
  batch.add(files(1), []);
  await expect.poll(() => batch.held.value?.message, { interval: 1 }).toBe('full');
  expect(batch.files.value).toMatchObject([{ state: { kind: 'waiting' } }]);
  isAway = false;
  page.dispatchEvent(new Event('online'));
  await isEmpty();
  const ids = asked.get('0.jpg') ?? [];
  expect(ids).toHaveLength(2);
  expect(new Set(ids).size).toBe(1);
});

it('keeps a refused file with its reason, and goes on with the others', async () => {
  check = (name) => {
    if (name === '2.jpg') throw new ConnectError('no image', Code.InvalidArgument);
  };
  batch.add(files(5), []);
  await expect.poll(() => made.length, { interval: 1 }).toBe(4);
  expect(batch.files.value).toMatchObject([
    { name: '2.jpg', state: { kind: 'failed', failure: { message: 'no image' } } },
  ]);
  check = () => {};
  batch.retry(batch.files.value[0]?.id ?? -1);
  await isEmpty();
  expect(made).toContain('2.jpg');
});
