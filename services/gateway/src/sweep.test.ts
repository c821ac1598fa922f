import { mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { ImageSchema } from '@imagemesh/api';
import { createNoEvents } from '@imagemesh/events';
import { limitsFromEnv } from '@imagemesh/image';
import { createLogger, createMetrics, newTrace } from '@imagemesh/observe';
import { openStore, type Store } from '@imagemesh/store';
import { noisePng } from '@imagemesh/testkit';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createMemoryBudget } from './memory-budget.ts';
import { readRetention } from './retention.ts';
import { createStoreImage } from './store-image.ts';
import { keepSwept, type SweepOptions } from './sweep.ts';

const log = createLogger({ name: 'test', level: 'silent' });
let root: string;
let store: Store;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'gateway-sweep-'));
  store = await openStore(`file:${root}`);
});
afterEach(() => rm(root, { recursive: true, force: true }));

function start(env: Record<string, string>, over: Partial<SweepOptions> = {}) {
  return keepSwept({
    store,
    uploads: { sweep: async () => 0 },
    neededByJobs: async () => new Set(),
    retention: readRetention({ SWEEP_INTERVAL_MS: '100', ...env }),
    log,
    metrics: createMetrics('test'),
    ...over,
  });
}

async function put(text: string, ageMs: number): Promise<string> {
  const { id } = await store.blobs.putImage(Buffer.from(text), { maxBytes: 1000 });
  const seconds = (Date.now() - ageMs) / 1000;
  await utimes(join(root, 'images', id.slice(0, 2), id), seconds, seconds);
  return id;
}

const gone = (id: string) =>
  vi.waitFor(async () => expect(await store.blobs.statImage(id)).toBeUndefined(), { timeout: 20_000 });

it('removes what nobody needs, again and again, and spares what jobs need', async () => {
  const needed = await put('needed', 10_000_000);
  const sweeping = start({ UNCLAIMED_TTL_MS: '1000' }, { neededByJobs: async () => new Set([needed]) });
  try {
    for (const text of ['first', 'second']) await gone(await put(text, 9_000_000));
    expect(await store.blobs.statImage(needed)).toBeDefined();
  } finally {
    await sweeping.stop();
  }
});

it('removes no image while it is not known what jobs need, and goes on once it is', async () => {
  const id = await put('image', 9_000_000);
  let asked = 0;
  const sweeping = start(
    { UNCLAIMED_TTL_MS: '1000' },
    {
      neededByJobs: async () => {
        asked += 1;
        if (asked < 3) throw new Error('NATS is away');
        expect(await store.blobs.statImage(id)).toBeDefined();
        return new Set();
      },
    },
  );
  try {
    await gone(id);
    expect(asked).toBeGreaterThanOrEqual(3);
  } finally {
    await sweeping.stop();
  }
});

it('goes by what another gateway found a moment ago', async () => {
  await put('image', 0);
  const first = start({ STORE_MAX_BYTES: '1', SWEEP_INTERVAL_MS: '3600000' });
  const found = () => store.entries.read('sweeps/last.json');
  await vi.waitFor(async () => expect(await found()).toBeDefined(), { timeout: 20_000 });
  expect(first.isFull).toBe(true);
  const sweepLeftovers = vi.spyOn(store.blobs, 'sweepLeftovers');
  const second = start({ STORE_MAX_BYTES: '1', SWEEP_INTERVAL_MS: '3600000' });
  await vi.waitFor(() => expect(second.isFull).toBe(true), { timeout: 20_000 });
  expect(sweepLeftovers).not.toHaveBeenCalled();
  await Promise.all([first.stop(), second.stop()]);
});

it('takes uploads again once what filled the store was deleted', async () => {
  const held = await put('held', 9_000_000);
  await store.claims.add('anonymous', create(ImageSchema, { id: held }));
  const png = await noisePng(1000);
  const sweeping = start({ STORE_MAX_BYTES: '3', UNCLAIMED_TTL_MS: '1000' });
  const storeImage = createStoreImage({
    store: store.blobs,
    claims: store.claims,
    events: createNoEvents(),
    limits: limitsFromEnv({}),
    budget: createMemoryBudget(1e9),
    isFull: () => sweeping.isFull,
  });
  const { signal } = new AbortController();
  const call = { owner: 'anonymous', requestId: 'r', trace: newTrace(), signal };
  try {
    await vi.waitFor(() => expect(sweeping.isFull).toBe(true), { timeout: 20_000 });
    await expect(storeImage(call, png)).rejects.toMatchObject({ reason: 'STORE_FULL', retryAfterMs: 60_000 });
    await store.claims.remove('anonymous', held);
    await vi.waitFor(() => expect(sweeping.isFull).toBe(false), { timeout: 20_000 });
    expect((await storeImage(call, png)).info?.sizeBytes).toBe(BigInt(png.byteLength));
  } finally {
    await sweeping.stop();
  }
});
