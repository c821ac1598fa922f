/**
 * Every operation at 0.3, 2 and 12 MP, JPEG in and out, through a replica, beside the same work without the mesh: plain
 * sharp for geometry, native OpenCV (imread → filter → imwrite, one thread) for filters.
 *
 *   npm run bench:operations [-- --rounds 3 --only blur,edges --sizes 2 --python path/to/python3 --image photo.jpg]
 *
 * Calls go to a replica over its socket, one at a time. Replica and peer take turns in each round; figures are medians over
 * the rounds. ms is the wall time of a call, CPU the user and system time of the replica (or peer) for it; × compares CPU,
 * which a busy machine disturbs less. Without a python3 that has OpenCV 4 the filters' peers are left out.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createSessionPool, type SessionPool } from '@imagemesh/rpc';
import { photoLike, startMesh } from '@imagemesh/testkit';
import sharp from 'sharp';
import { startNativeOpencv } from './native-opencv.ts';
import { type Case, cases, type Size } from './operation-cases.ts';
import { cpuMs } from './processes.ts';
import { stageCall } from './stage-call.ts';
import { median } from './statistics.ts';

/** What a call took. */
interface Figures {
  readonly ms: number;
  readonly cpu: number;
}

type Measure = (calls: number) => Promise<Figures>;

const sizes = [
  { megapixels: 0.3, width: 640, height: 480, calls: 20 },
  { megapixels: 2, width: 1920, height: 1080, calls: 8 },
  { megapixels: 12, width: 4000, height: 3000, calls: 2 },
];

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    only: { type: 'string' },
    sizes: { type: 'string' },
    python: { type: 'string', default: 'python3' },
    image: { type: 'string' },
  },
});
const rounds = Number(values.rounds);
const only = values.only?.split(',');
const wantedSizes = values.sizes?.split(',').map(Number);
const wanted = cases.filter(({ name }) => only === undefined || only.includes(name));
if (wanted.length === 0)
  throw new Error(`no such operation; known: ${cases.map(({ name }) => name).join(', ')}`);

sharp.concurrency(1);
sharp.cache(false);

const folder = await mkdtemp(join(tmpdir(), 'bench-operations-'));
const mesh = await startMesh({ replicas: { resize: 1, filter: 1 }, nats: false });
const native = await startNativeOpencv(values.python);
const replicas = { resize: mesh.process('resize-1'), filter: mesh.process('filter-1') };
const pools = {
  resize: createSessionPool(replicas.resize.address),
  filter: createSessionPool(replicas.filter.address),
};
try {
  const peers = native === undefined ? 'no native OpenCV' : `native OpenCV ${native.version}`;
  process.stdout.write(
    `sharp ${sharp.versions.sharp}, ${peers}, ${rounds} rounds, Node ${process.version}\n\n`,
  );
  process.stdout.write('| operation | MP | ms | CPU-ms | MP/s | peer | ms | CPU-ms | × |\n');
  process.stdout.write('|---|---|---|---|---|---|---|---|---|\n');
  for (const size of sizes.filter(({ megapixels }) => wantedSizes?.includes(megapixels) ?? true)) {
    const source = await sourceOf(size);
    const path = join(folder, `${size.width}.jpg`);
    await writeFile(path, source);
    for (const one of wanted) await measureCase(one, size, source, path);
  }
} finally {
  native?.stop();
  await Promise.all(Object.values(pools).map((pool) => pool.close()));
  await mesh.stop();
  await rm(folder, { recursive: true });
}

async function sourceOf({ width, height }: Size): Promise<Buffer> {
  if (values.image === undefined) return photoLike(width, height);
  const photo = sharp(await readFile(values.image)).resize(width, height, { fit: 'fill' });
  return photo.jpeg({ quality: 90 }).toBuffer();
}

async function measureCase(
  one: Case,
  size: (typeof sizes)[number],
  source: Buffer,
  path: string,
): Promise<void> {
  const ours = replicaMeasure(one, size, source);
  const peer = peerMeasure(one, size, source, path);
  const [mine, theirs]: [Figures[], Figures[]] = [[], []];
  for (let round = -1; round < rounds; round++) {
    const figures = await ours(size.calls);
    const others = await peer?.measure(size.calls);
    // The first round warms up.
    if (round < 0) continue;
    mine.push(figures);
    if (others !== undefined) theirs.push(others);
  }
  const own = medians(mine);
  const cells = [one.name, size.megapixels, own.ms.toFixed(1), own.cpu.toFixed(1)];
  cells.push(((size.width * size.height) / 1000 / own.ms).toFixed(0));
  if (peer !== undefined && theirs.length > 0) {
    const other = medians(theirs);
    cells.push(peer.name, other.ms.toFixed(1), other.cpu.toFixed(1), (own.cpu / other.cpu).toFixed(2));
  } else {
    cells.push('', '', '', '');
  }
  process.stdout.write(`| ${cells.join(' | ')} |\n`);
}

function replicaMeasure(one: Case, size: Size, source: Buffer): Measure {
  const operation = one.operation(size);
  const pool: SessionPool = pools[one.service];
  return (calls) =>
    timed(
      calls,
      () => cpuMs(replicas[one.service].pid),
      () => stageCall(pool, one.service, operation === undefined ? [] : [{ operation }], source),
    );
}

function peerMeasure(
  { name, service, sharp: same }: Case,
  size: Size,
  source: Buffer,
  path: string,
): { readonly name: string; readonly measure: (calls: number) => Promise<Figures | undefined> } | undefined {
  if (same !== undefined) {
    const ownCpu = () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1000;
    };
    const run = () =>
      same(sharp(source, { failOn: 'error', autoOrient: true }), size)
        .jpeg({ quality: 80, optimiseCoding: false })
        .toBuffer();
    return { name: 'sharp', measure: (calls) => timed(calls, ownCpu, run) };
  }
  if (service !== 'filter' || native === undefined) return undefined;
  return { name: 'OpenCV', measure: (calls) => native.measure(name, path, calls) };
}

async function timed(calls: number, cpu: () => number, call: () => Promise<unknown>): Promise<Figures> {
  const cpuBefore = cpu();
  const startedMs = performance.now();
  for (let left = calls; left > 0; left--) await call();
  return { ms: (performance.now() - startedMs) / calls, cpu: (cpu() - cpuBefore) / calls };
}

function medians(figures: readonly Figures[]): Figures {
  return { ms: median(figures.map(({ ms }) => ms)), cpu: median(figures.map(({ cpu }) => cpu)) };
}
