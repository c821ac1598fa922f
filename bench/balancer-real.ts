/**
 * The balancer against haproxy, nginx and grpc-js on real sockets: replicas with timed service, one recorded trace, one pass after
 * the other.
 *
 *   npm run bench:balancer-real [-- --jobs 5000 --stretch 3 --seed 1 --only S2 --json result.json]
 *
 * Arrivals do not wait for answers, and mishaps come at the same times in each pass, both as in balancer-sim; all times are
 * `stretch` times longer, so that two cores suffice. CPU and memory are measured after that: 300 kB up, 20 kB down, no work.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { seededRandom } from '@imagemesh/testkit';
import { type Front, type FrontKind, fronts } from './balancer-real/fronts.ts';
import { type Order, trueWork } from './balancer-real/protocol.ts';
import { type Run, scenarios } from './balancer-sim/scenarios.ts';
import type { ReplicaSpec } from './balancer-sim/sim-replica.ts';
import { cpuMs, residentBytes } from './processes.ts';
import { percentile } from './statistics.ts';

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '5000' },
    stretch: { type: 'string', default: '3' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: 'S2 mixed 0.75,S4' },
    json: { type: 'string' },
  },
});
const stretch = Number(values.stretch);
const slots = 2;
const replicaCount = 8;
/** Counted as the time of a call that fails. */
const timeoutMs = 30_000;
/** haproxy 2.6 blocks a connection whose queued calls have bodies larger than its 16 KiB buffer. */
const small = Buffer.alloc(10_000, 1);

const folder = await mkdtemp(join(tmpdir(), 'imagemesh-bench-'));
const replicas = await Promise.all(Array.from({ length: replicaCount }, (_, at) => startReplica(`r${at}`)));
const addresses = replicas.map(({ address }) => address);
const usable = fronts.filter((kind) => {
  const why = kind.missing();
  if (why !== undefined) console.log(`${kind.name}: left out, ${why}`);
  return why === undefined;
});
const results: unknown[] = [];

try {
  for (const scenario of scenarios) {
    if (!values.only.split(',').some((name) => scenario.name.startsWith(name))) continue;
    const run = stretched(scenario.make(Number(values.jobs), seededRandom(Number(values.seed))));
    console.log(`\n${scenario.name}: ${scenario.doc}; ${run.jobs.length} calls, all times × ${stretch}\n`);
    console.log('| front | p50 | p99 | p99.9 | max | failed |\n|---|---|---|---|---|---|');
    for (const kind of usable) {
      const { times, failed } = await withFront(kind, run.replicas, (front) => pass(front, run));
      const figures = [50, 99, 99.9, 100].map((p) => Math.round(percentile(times, p) * 10) / 10);
      console.log(`| ${kind.name} | ${figures.join(' | ')} | ${failed} |`);
      const [p50, p99, p999, max] = figures;
      results.push({ scenario: scenario.name, front: kind.name, p50, p99, p999, max, failed });
    }
  }
  console.log('\n300 kB up, 20 kB down, 8 calls at a time\n');
  console.log('| front | CPU-ms a call | RSS MiB |\n|---|---|---|');
  const instant = addresses.map((): ReplicaSpec => ({ slots, speed: 1 }));
  for (const kind of usable) {
    const figures = await withFront(kind, instant, (front) => cost(front));
    if (figures === undefined) continue;
    console.log(`| ${kind.name} | ${figures.cpuPerCall.toFixed(2)} | ${figures.residentMiB.toFixed(0)} |`);
    results.push({ front: kind.name, ...figures });
  }
  if (values.json !== undefined)
    await writeFile(values.json, `${JSON.stringify({ ...values, results }, null, 2)}\n`);
} finally {
  for (const { child } of replicas) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
}

async function startReplica(id: string) {
  const child = fork(fileURLToPath(new URL('./balancer-real/replica.ts', import.meta.url)), [
    id,
    String(slots),
  ]);
  const [ready] = await once(child, 'message');
  const { address } = ready as { address: string };
  return { child, address, order: (order: Order) => void child.send(order) };
}

function stretched({ jobs, replicas }: Run): Run {
  return {
    jobs: jobs.map((job) => ({
      ...job,
      arrivedMs: job.arrivedMs * stretch,
      workMs: job.workMs * stretch,
      costMs: job.costMs * stretch,
    })),
    replicas: replicas.map((replica) => ({
      ...replica,
      changes: replica.changes?.map(({ atMs, factor }) => ({ atMs: atMs * stretch, factor })) ?? [],
    })),
  };
}

async function withFront<Result>(
  kind: FrontKind,
  specs: readonly ReplicaSpec[],
  use: (front: Front) => Promise<Result>,
): Promise<Result> {
  const front = await kind.start(addresses, slots, folder);
  try {
    if (front.joinAddress !== undefined) {
      for (const { order } of replicas) order({ order: 'join', balancer: front.joinAddress });
    }
    await sleep(1000);
    // Connections up, code warm, replicas ready: without work, so that nothing is learned.
    await Promise.all(Array.from({ length: 200 }, () => front.call(small, { 'im-cost': '1' }, timeoutMs)));
    for (const [at, { order }] of replicas.entries()) {
      const spec = specs[at];
      if (spec !== undefined) order({ order: 'begin', spec });
    }
    return await use(front);
  } finally {
    for (const { order } of replicas) order({ order: 'leave' });
    await front.stop();
  }
}

async function pass(front: Front, { jobs }: Run): Promise<{ times: readonly number[]; failed: number }> {
  const beganMs = performance.now();
  let failed = 0;
  const calls: Promise<number>[] = [];
  for (const { arrivedMs, workMs, costMs } of jobs) {
    const waitMs = beganMs + arrivedMs - performance.now();
    if (waitMs > 0.5) await sleep(waitMs);
    const headers = { [trueWork]: workMs.toFixed(2), 'im-cost': costMs.toFixed(2), 'im-op': 'resize' };
    // From when it should have been sent: a busy sender does not flatter.
    const dueMs = beganMs + arrivedMs;
    calls.push(
      front.call(small, headers, timeoutMs).then(
        () => performance.now() - dueMs,
        () => {
          failed++;
          return timeoutMs;
        },
      ),
    );
  }
  return { times: await Promise.all(calls), failed };
}

async function cost(front: Front): Promise<{ cpuPerCall: number; residentMiB: number } | undefined> {
  const { pid } = front;
  if (pid === undefined) return undefined;
  const calls = 4000;
  const body = Buffer.alloc(300_000, 1);
  const run = async (count: number) => {
    let left = count;
    const callers = Array.from({ length: 8 }, async () => {
      while (left-- > 0) await front.call(body, { 'im-cost': '1' }, timeoutMs);
    });
    await Promise.all(callers);
  };
  await run(1000);
  const before = cpuMs(pid);
  await run(calls);
  return { cpuPerCall: (cpuMs(pid) - before) / calls, residentMiB: residentBytes(pid) / 2 ** 20 };
}
