/**
 * What each hop costs: the same 1920×1080 JPEG → 800×600 JPEG by sharp in this process, through a replica alone, through
 * balancer and replica, and through the whole mesh (image sent inline, and stored before and named by its id).
 *
 *   npm run bench:path [-- --calls 300 --rounds 5 --concurrency 8 --replicas 1 --image photo.jpg]
 *
 * The paths take turns in each round, so that a drift of the machine's speed hits all alike; figures are medians over the
 * rounds. CPU-ms per call is the user and system time of the mesh's processes on that path, without this client's; for
 * sharp in process it is this process's. Without --image the picture is generated: a smooth scene with some grain, which
 * compresses like a photo.
 */
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { createSessionPool } from '@imagemesh/rpc';
import { photoLike, startMesh } from '@imagemesh/testkit';
import sharp from 'sharp';
import { resizeStage, sharpInProcess, transform } from './path-clients.ts';
import { cpuMs } from './processes.ts';
import { median, percentile } from './statistics.ts';

interface Path {
  readonly name: string;
  call(): Promise<number>;
  /** CPU-ms that each of the path's processes has used so far. */
  cpu(): readonly number[];
}

interface Round {
  readonly callsPerSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** By process, as `columns` names them. */
  readonly cpuPerCall: readonly number[];
}

/** Processes whose CPU is shown on its own; the replicas count as one. */
const columns = ['gateway', 'balancer', 'replicas'];

const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '300' },
    rounds: { type: 'string', default: '5' },
    concurrency: { type: 'string', default: '8' },
    replicas: { type: 'string', default: '1' },
    image: { type: 'string' },
  },
});
const calls = Number(values.calls);
const rounds = Number(values.rounds);
const concurrency = Number(values.concurrency);

sharp.concurrency(1);
sharp.cache(false);
const source = values.image
  ? await sharp(await readFile(values.image))
      .resize(1920, 1080, { fit: 'fill' })
      .jpeg({ quality: 90 })
      .toBuffer()
  : await photoLike(1920, 1080);

const mesh = await startMesh({ replicas: { resize: Number(values.replicas), filter: 0 }, nats: false });
const pools = {
  replica: createSessionPool(mesh.process('resize-1').address),
  balancer: createSessionPool(mesh.balancerAddresses[0] ?? ''),
  gateway: createSessionPool(mesh.gatewayAddress),
};
try {
  const stored = await fetch(`${mesh.gatewayUrl}/upload`, { method: 'POST', body: new Uint8Array(source) });
  const { image_id: imageId } = JSON.parse(await stored.text());
  const processes = [['gateway'], ['balancer-1'], mesh.replicaNames()];
  const pids = processes.map((names) => names.map((name) => mesh.process(name).pid));
  const meshCpu = () => pids.map((some) => sum(some.map(cpuMs)));
  const paths: Path[] = [
    {
      name: 'sharp in process',
      call: () => sharpInProcess(source),
      cpu: () => [(process.cpuUsage().user + process.cpuUsage().system) / 1000],
    },
    // A replica runs one call a slot and refuses more: alone it gets one at a time, as its balancer would give it.
    { name: 'replica', call: oneAtATime(() => resizeStage(pools.replica, source)), cpu: meshCpu },
    { name: 'balancer + replica', call: () => resizeStage(pools.balancer, source), cpu: meshCpu },
    { name: 'whole mesh, inline', call: () => transform(pools.gateway, source), cpu: meshCpu },
    { name: 'whole mesh, by id', call: () => transform(pools.gateway, imageId), cpu: meshCpu },
  ];
  for (const path of paths) await measure(path, Math.min(calls, 50));
  const results = new Map(paths.map((path) => [path, [] as Round[]]));
  for (let round = 0; round < rounds; round++) {
    for (const path of paths) results.get(path)?.push(await measure(path, calls));
  }
  print(paths, results);
} finally {
  await Promise.all(Object.values(pools).map((pool) => pool.close()));
  await mesh.stop();
}

async function measure(path: Path, count: number): Promise<Round> {
  const times: number[] = [];
  let left = count;
  const cpuBefore = path.cpu();
  const startedMs = performance.now();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (left-- > 0) {
        const sentMs = performance.now();
        if ((await path.call()) < 1000) throw new Error(`${path.name}: the reply is no image`);
        times.push(performance.now() - sentMs);
      }
    }),
  );
  const elapsedMs = performance.now() - startedMs;
  return {
    callsPerSecond: (count * 1000) / elapsedMs,
    p50: percentile(times, 50),
    p99: percentile(times, 99),
    cpuPerCall: path.cpu().map((ms, at) => (ms - (cpuBefore[at] ?? 0)) / count),
  };
}

function oneAtATime(call: () => Promise<number>): () => Promise<number> {
  let last: Promise<unknown> = Promise.resolve();
  return () => {
    const next = last.then(call);
    last = next.catch(() => {});
    return next;
  };
}

function print(paths: readonly Path[], results: ReadonlyMap<Path, readonly Round[]>): void {
  const mib = (source.byteLength / 1024).toFixed(0);
  process.stdout.write(
    `1920×1080 JPEG (${mib} KiB) → 800×600 JPEG, ${rounds} rounds of ${calls} calls, concurrency ${concurrency}, ` +
      `${values.replicas} resize replica(s), ${availableParallelism()} cores, Node ${process.version}\n\n` +
      `| path | calls/s | p50 ms | p99 ms | CPU-ms a call | × sharp | ${columns.join(' | ')} |\n` +
      `|---|---|---|---|---|---|${'---|'.repeat(columns.length)}\n`,
  );
  const figure = (path: Path, pick: (round: Round) => number) => median((results.get(path) ?? []).map(pick));
  const total = (round: Round) => sum(round.cpuPerCall);
  const base = paths[0] === undefined ? Number.NaN : figure(paths[0], total);
  for (const path of paths) {
    const cpu = figure(path, total);
    const byProcess = columns.map((_, at) => figure(path, (round) => round.cpuPerCall[at] ?? Number.NaN));
    const cells = [
      path.name,
      figure(path, (round) => round.callsPerSecond).toFixed(1),
      figure(path, (round) => round.p50).toFixed(1),
      figure(path, (round) => round.p99).toFixed(1),
      cpu.toFixed(1),
      (cpu / base).toFixed(2),
      ...byProcess.map((ms) => (path === paths[0] ? '' : ms.toFixed(1))),
    ];
    process.stdout.write(`| ${cells.join(' | ')} |\n`);
  }
}

function sum(figures: readonly number[]): number {
  return figures.reduce((total, figure) => total + figure, 0);
}
