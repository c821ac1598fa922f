import { Worker } from 'node:worker_threads';
import { ColorPolicy, Format, MetadataPolicy } from '@imagemesh/api';
import { defaultLimits } from '@imagemesh/image';
import { MeshError } from '@imagemesh/rpc';
import { afterEach, describe, expect, it } from 'vitest';
import type { ThreadData, ThreadRequest } from './thread-messages.ts';
import { createThreadPool, type ThreadPool, type ThreadPoolOptions } from './thread-pool.ts';

/** Threads of the pool's protocol that do as their script says; the pool is what is tested here. */
const answers = `reply({ kind: 'processed' })`;
const hangs = 'for (;;);';
const heedsCancel = `setInterval(() => {
  if (Atomics.load(cancelled, 0) === 0) return;
  reply({ kind: 'failed', isBroken: false, error: { reason: 'CANCELLED', message: '', metadata: {}, violations: [] } });
}, 5)`;
const exits = 'process.exit(3)';
const throws = `throw new Error('thread bug')`;
const breaks = `reply({ kind: 'failed', isBroken: true, error: { reason: 'INTERNAL', message: 'broken', metadata: {}, violations: [] } })`;
const growsHeap = `heapBytes = 600 * 1024 * 1024; reply({ kind: 'processed' })`;
const works = `setTimeout(() => reply({ kind: 'processed' }), 40)`;

const request: ThreadRequest = {
  kind: 'process',
  source: {
    kind: 'encoded',
    bytes: new Uint8Array(0),
    header: {
      format: Format.PNG,
      width: 1,
      height: 1,
      orientation: 1,
      channels: 3,
      bitDepth: 8,
      hasAlpha: false,
      frames: 1,
    },
  },
  operations: [],
  metadata: MetadataPolicy.STRIP,
  color: ColorPolicy.SRGB,
  limits: defaultLimits,
  timeoutMs: 1000,
};

let pool: ThreadPool;
let replaced: string[];
let spawned: number;

/** A pool whose first threads run the scripts in turn; all later ones the last. */
function startPool(scripts: readonly string[], options: Partial<ThreadPoolOptions> = {}): ThreadPool {
  replaced = [];
  spawned = 0;
  pool = createThreadPool({
    threads: 1,
    cancelGraceMs: 50,
    onReplaced: (why) => replaced.push(why),
    spawn: (data) => spawnScript(scripts[Math.min(spawned++, scripts.length - 1)] ?? answers, data),
    ...options,
  });
  return pool;
}

function spawnScript(script: string, workerData: ThreadData): Worker {
  const source = `
    const { parentPort, workerData } = require('node:worker_threads');
    const cancelled = new Int32Array(workerData.cancelFlag);
    let heapBytes = 0;
    const reply = (reply) => parentPort.postMessage({ reply, heapBytes });
    parentPort.on('message', (request) => {
      if (request.kind === 'drop') reply({ kind: 'dropped' });
      else { ${script} }
    });
    reply({ kind: 'ready' });`;
  return new Worker(source, { eval: true, workerData });
}

async function askOnce(signal = new AbortController().signal): Promise<string> {
  const lease = await pool.lease(signal);
  try {
    return (await lease.ask(request)).kind;
  } finally {
    await lease.release();
  }
}

afterEach(() => pool.close());

describe('leases', () => {
  it('hands out a thread again and again', async () => {
    startPool([answers]);
    for (let call = 0; call < 5; call++) expect(await askOnce()).toBe('processed');
    expect(spawned).toBe(1);
  });

  it('runs as many calls at a time as there are threads; the others wait, and beyond that are refused', async () => {
    startPool([works], { threads: 2 });
    await pool.ready();
    const calls = [askOnce(), askOnce(), askOnce(), askOnce()];
    await expect(askOnce()).rejects.toMatchObject({ reason: 'REPLICA_BUSY' });
    expect(await Promise.all(calls)).toEqual(Array.from({ length: 4 }, () => 'processed'));
    expect(spawned).toBe(2);
  });

  it('lets a waiting call go when it is given up', async () => {
    startPool([answers]);
    const lease = await pool.lease(new AbortController().signal);
    const call = new AbortController();
    const waiting = askOnce(call.signal);
    call.abort(cancelled());
    await expect(waiting).rejects.toMatchObject({ reason: 'CANCELLED' });
    await lease.release();
    expect(await askOnce()).toBe('processed');
  });

  it('takes back the thread of a call that is given up between two requests', async () => {
    startPool([answers]);
    const call = new AbortController();
    const lease = await pool.lease(call.signal);
    await lease.ask(request);
    call.abort(cancelled());
    expect(await askOnce()).toBe('processed');
    await expect(lease.ask(request)).rejects.toMatchObject({ reason: 'CANCELLED' });
    expect(spawned).toBe(1);
  });
});

describe('a call that is given up', () => {
  it('keeps its thread if that heeds the cancel flag', async () => {
    startPool([heedsCancel]);
    await pool.ready();
    const call = new AbortController();
    const asked = askOnce(call.signal);
    setTimeout(() => call.abort(cancelled()), 10);
    await expect(asked).rejects.toMatchObject({ reason: 'CANCELLED' });
    expect(replaced).toEqual([]);
  });

  it('has its thread ended and replaced if that goes on', async () => {
    startPool([hangs, answers]);
    await pool.ready();
    const call = new AbortController();
    const asked = askOnce(call.signal);
    setTimeout(() => call.abort(new MeshError('DEADLINE_EXCEEDED', 'late')), 10);
    await expect(asked).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
    expect(replaced).toEqual(['overrun']);
    expect(await askOnce()).toBe('processed');
  });

  it('hears of it at once, while the thread is still being ended', async () => {
    startPool([hangs, answers], { cancelGraceMs: 300 });
    await pool.ready();
    const call = new AbortController();
    const lease = await pool.lease(call.signal);
    const asked = lease.ask(request);
    const start = performance.now();
    call.abort(cancelled());
    await expect(asked).rejects.toMatchObject({ reason: 'CANCELLED' });
    expect(performance.now() - start).toBeLessThan(150);
    await lease.release();
    expect(performance.now() - start).toBeGreaterThan(290);
  });
});

describe('a thread is replaced', () => {
  it.each([
    ['ends', exits, 'ended'],
    ['throws', throws, 'ended'],
    ['breaks', breaks, 'broken'],
  ])('when it %s, and the call it had fails as INTERNAL', async (_, script, why) => {
    startPool([script, answers]);
    await expect(askOnce()).rejects.toMatchObject({ reason: 'INTERNAL' });
    expect(replaced).toEqual([why]);
    expect(await askOnce()).toBe('processed');
  });

  it('when its heap has grown large', async () => {
    startPool([growsHeap, answers]);
    expect(await askOnce()).toBe('processed');
    expect(replaced).toEqual(['heap']);
    expect(await askOnce()).toBe('processed');
  });

  it('after many requests', async () => {
    startPool([answers], { maxJobs: 4 });
    for (let call = 0; call < 6; call++) await askOnce();
    expect(replaced).toContain('jobs');
  });

  it('when it is old', async () => {
    startPool([answers], { maxAgeMs: 0 });
    await askOnce();
    expect(replaced).toEqual(['age']);
    expect(await askOnce()).toBe('processed');
  });

  it('when it ends while nobody uses it', async () => {
    const script = `${answers}; setTimeout(() => process.exit(0), 20)`;
    startPool([script, answers]);
    await askOnce();
    await expect.poll(() => replaced).toEqual(['ended']);
    expect(await askOnce()).toBe('processed');
  });

  it('until one starts', async () => {
    let starts = 0;
    startPool([answers], {
      spawn: (data) =>
        starts++ === 0 ? new Worker('process.exit(1)', { eval: true }) : spawnScript(answers, data),
    });
    expect(await askOnce()).toBe('processed');
    expect(replaced).toEqual(['start']);
  });
});

describe('close', () => {
  it('ends running threads, and refuses who waits and who comes', async () => {
    startPool([hangs]);
    await pool.ready();
    const running = askOnce();
    const waiting = askOnce();
    const outcomes = Promise.allSettled([running, waiting]);
    await pool.close();
    expect(await outcomes).toMatchObject([
      { status: 'rejected', reason: { reason: 'INTERNAL' } },
      { status: 'rejected', reason: { reason: 'REPLICA_STOPPING' } },
    ]);
    await expect(askOnce()).rejects.toMatchObject({ reason: 'REPLICA_STOPPING' });
    expect(pool.threadCount).toBe(0);
  });
});

function cancelled(): MeshError {
  return new MeshError('CANCELLED', 'the caller went away');
}
