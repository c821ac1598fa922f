/**
 * Jobs against the same work by synchronous calls, in one mesh and turn by turn: a stored JPEG (1920×1080) → JPEG of about
 * 800×600, each time another size, so that nothing is answered from an earlier result.
 *
 *   npm run bench:jobs [-- --jobs 300 --rounds 3 --concurrency 8 --replicas 2 --width 1920 --height 1080]
 *
 * The store is one in use: its folders, which the first images of each need to be made, are there.
 *
 * Jobs a second count from the first CreateJob until the event of the last job. An event's latency is from the end that the
 * job's record names until a subscriber of NATS has the event. Bytes are what NATS keeps, read from its streams.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { ImageService, JobService, JobState } from '@imagemesh/api';
import { createGrpcClient } from '@imagemesh/rpc';
import { photoLike, startMesh } from '@imagemesh/testkit';
import { connect } from 'nats';
import sharp from 'sharp';
import { childrenOf, cpuMs } from './processes.ts';
import { median, percentile } from './statistics.ts';

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '300' },
    rounds: { type: 'string', default: '3' },
    concurrency: { type: 'string', default: '8' },
    replicas: { type: 'string', default: '2' },
    width: { type: 'string', default: '1920' },
    height: { type: 'string', default: '1080' },
  },
});
const count = Number(values.jobs);
const rounds = Number(values.rounds);
const concurrency = Number(values.concurrency);

const mesh = await startMesh({ replicas: { resize: Number(values.replicas), filter: 0 }, nats: true });
const jobs = createGrpcClient(JobService, mesh.gatewayAddress);
const images = createGrpcClient(ImageService, mesh.gatewayAddress);
const nats = await connect({ servers: mesh.natsUrl });

/** When each job's event came, by its id. */
const eventMs = new Map<string, number>();
nats.subscribe('imagemesh.events.job.completed.>', {
  callback: (_, { subject }) => eventMs.set(subject.split('.').at(-1) ?? '', Date.now()),
});
await nats.flush();

let made = 0;
function nextOperations() {
  made += 1;
  const size = { width: 700 + (made % 200), height: 500 + Math.floor(made / 200) };
  return [{ operation: { case: 'resize' as const, value: size } }];
}

/** Calls at most so many at once; how long each took in ms. */
async function each(run: () => Promise<unknown>): Promise<number[]> {
  const tookMs: number[] = [];
  let left = count;
  const callers = Array.from({ length: concurrency }, async () => {
    while (left > 0) {
      left -= 1;
      const beganMs = performance.now();
      await run();
      tookMs.push(performance.now() - beganMs);
    }
  });
  await Promise.all(callers);
  return tookMs;
}

const processes = ['gateway', 'balancer-1', ...mesh.replicaNames(), 'nats'];
// nats-server is the child of a process that ends it with its parent.
const natsPid = childrenOf(mesh.nats?.pid ?? 0)[0] ?? 0;
const pidOf = (name: string) => (name === 'nats' ? natsPid : mesh.process(name).pid);
const cpu = () => processes.map((name) => cpuMs(pidOf(name)));

interface Round {
  readonly perSecond: number;
  readonly cpuPerCall: readonly number[];
  readonly p50: number;
  readonly p99: number;
}

async function synchronous(imageId: string): Promise<Round> {
  const source = { source: { case: 'imageId' as const, value: imageId } };
  const cpuBefore = cpu();
  const beganMs = performance.now();
  const tookMs = await each(() => images.transform({ source, operations: nextOperations() }));
  return toRound(tookMs, performance.now() - beganMs, cpuBefore);
}

async function asJobs(imageId: string, round: number): Promise<{ create: Round; event: Round }> {
  const source = { source: { case: 'imageId' as const, value: imageId } };
  const labels = { round: String(round) };
  const cpuBefore = cpu();
  const beganMs = performance.now();
  const ids = new Set<string>();
  const tookMs = await each(async () => {
    const { job } = await jobs.createJob({ source, labels, variants: [{ operations: nextOperations() }] });
    ids.add(job?.id ?? '');
  });
  while (![...ids].every((id) => eventMs.has(id))) await sleep(5);
  const create = toRound(tookMs, performance.now() - beganMs, cpuBefore);
  const { jobs: found } = await jobs.listJobs({ labels, pageSize: 1000 });
  if (found.some(({ state }) => state !== JobState.SUCCEEDED)) throw new Error('not every job succeeded');
  const latencyMs = found.flatMap(({ id, endTime }) => {
    const at = eventMs.get(id);
    return at === undefined || endTime === undefined ? [] : [at - timestampMs(endTime)];
  });
  return { create, event: { ...create, p50: percentile(latencyMs, 50), p99: percentile(latencyMs, 99) } };
}

function toRound(tookMs: readonly number[], allMs: number, cpuBefore: readonly number[]): Round {
  return {
    perSecond: (count * 1000) / allMs,
    p50: percentile(tookMs, 50),
    p99: percentile(tookMs, 99),
    cpuPerCall: cpu().map((ms, at) => (ms - (cpuBefore[at] ?? Number.NaN)) / count),
  };
}

async function upload(bytes: Uint8Array): Promise<string> {
  const answer = await fetch(`${mesh.gatewayUrl}/upload`, { method: 'POST', body: new Uint8Array(bytes) });
  return JSON.parse(await answer.text()).image_id;
}

/** Images go to one of 256 folders by their digest; so many leave none out. */
async function fillFolders(): Promise<void> {
  const left = Array.from({ length: 2000 }, () => randomBytes(48));
  const uploaders = Array.from({ length: 8 }, async () => {
    for (let pixels = left.pop(); pixels !== undefined; pixels = left.pop()) {
      await upload(
        await sharp(pixels, { raw: { width: 4, height: 4, channels: 3 } })
          .png()
          .toBuffer(),
      );
    }
  });
  await Promise.all(uploaders);
}

async function streamStates() {
  const { streams } = await nats.jetstreamManager();
  const names = ['KV_imagemesh_jobs', 'IMAGEMESH_EVENTS', 'IMAGEMESH_JOBS'];
  return Promise.all(
    names.map(async (name) => {
      const { messages, bytes } = (await streams.info(name)).state;
      return { name, messages, bytes };
    }),
  );
}

try {
  await fillFolders();
  const imageId = await upload(await photoLike(Number(values.width), Number(values.height)));
  const before = await streamStates();
  // Warms up what compiles late.
  await synchronous(imageId);
  await asJobs(imageId, 0);

  const sync: Round[] = [];
  const create: Round[] = [];
  const event: Round[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    sync.push(await synchronous(imageId));
    const done = await asJobs(imageId, round);
    create.push(done.create);
    event.push(done.event);
  }
  const of = (some: readonly Round[], figure: 'perSecond' | 'p50' | 'p99') =>
    median(some.map((round) => round[figure]));
  console.log(
    `${rounds} rounds of ${count}, concurrency ${concurrency}, ${values.replicas} resize replicas\n`,
  );
  console.log('| | a second | p50 ms | p99 ms |');
  console.log('|---|---|---|---|');
  const row = (name: string, perSecond: string, some: readonly Round[]) =>
    console.log(`| ${name} | ${perSecond} | ${of(some, 'p50').toFixed(1)} | ${of(some, 'p99').toFixed(1)} |`);
  row('synchronous Transform', of(sync, 'perSecond').toFixed(1), sync);
  row('jobs, CreateJob', of(create, 'perSecond').toFixed(1), create);
  row('event after its job', '', event);
  const ratio = median(create.map(({ perSecond }, at) => perSecond / (sync[at]?.perSecond ?? Number.NaN)));
  console.log(`\njobs a second, of synchronous calls a second: ${ratio.toFixed(2)}`);

  console.log(`\n| CPU-ms a call | ${processes.join(' | ')} |`);
  console.log(`|---|${'---|'.repeat(processes.length)}`);
  for (const [name, some] of [['synchronous', sync] as const, ['jobs', create] as const]) {
    const means = processes.map((_, at) =>
      median(some.map(({ cpuPerCall }) => cpuPerCall[at] ?? Number.NaN)),
    );
    console.log(`| ${name} | ${means.map((ms) => ms.toFixed(1)).join(' | ')} |`);
  }

  const after = await streamStates();
  console.log('\n| kept in NATS | messages a job | bytes a job |');
  console.log('|---|---|---|');
  const all = count * (rounds + 1);
  for (const [at, { name, messages, bytes }] of after.entries()) {
    const made = {
      messages: messages - (before[at]?.messages ?? 0),
      bytes: bytes - (before[at]?.bytes ?? 0),
    };
    console.log(`| ${name} | ${(made.messages / all).toFixed(1)} | ${Math.round(made.bytes / all)} |`);
  }
} finally {
  jobs.close();
  images.close();
  await nats.close();
  await mesh.stop();
}
