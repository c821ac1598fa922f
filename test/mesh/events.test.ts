import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ImageService, JobService, type WatchEventsResponse } from '@imagemesh/api';
import { createGrpcClient, type GrpcClient } from '@imagemesh/rpc';
import { quadrants, startMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorOf } from './calls.ts';

let mesh: Awaited<ReturnType<typeof startMesh>>;
let jobs: GrpcClient<typeof JobService>;
let images: GrpcClient<typeof ImageService>;
let picture: Buffer;

beforeAll(async () => {
  mesh = await startMesh({ replicas: { resize: 1, filter: 1 }, nats: true });
  jobs = createGrpcClient(JobService, mesh.gatewayAddress);
  images = createGrpcClient(ImageService, mesh.gatewayAddress);
  picture = await quadrants({ width: 400, height: 200 });
});
afterAll(async () => {
  jobs?.close();
  images?.close();
  await mesh?.stop();
});

async function runJob(names: readonly string[]): Promise<string> {
  const { job } = await jobs.createJob({
    source: { source: { case: 'data', value: picture } },
    variants: names.map((name, at) => ({
      name,
      operations: [{ operation: { case: 'resize' as const, value: { width: 10 + at } } }],
    })),
  });
  for await (const _ of jobs.watchJob({ jobId: job?.id ?? '' }));
  return job?.id ?? '';
}

/** Events, without signs of life, until one is the last. */
async function readUntil(
  stream: AsyncIterable<WatchEventsResponse>,
  isLast: (event: WatchEventsResponse) => boolean,
): Promise<WatchEventsResponse[]> {
  const seen: WatchEventsResponse[] = [];
  for await (const event of stream) {
    if (event.id === '') continue;
    seen.push(event);
    if (isLast(event)) break;
  }
  return seen;
}

describe('WatchEvents', () => {
  it('tells the life of a job in order, each event once, and its image before', async () => {
    const id = await runJob(['a', 'b', 'c']);
    const seen = await readUntil(
      jobs.watchEvents({ afterSequence: 1_000_000n }),
      ({ type, subject }) => type === 'imagemesh.job.completed' && subject === id,
    );
    expect(seen[0]?.data.case).toBe('image');
    const mine = seen.filter(({ subject }) => subject === id);
    expect(mine.map(({ type }) => type)).toEqual([
      'imagemesh.job.created',
      'imagemesh.job.started',
      'imagemesh.job.progress',
      'imagemesh.job.progress',
      'imagemesh.job.completed',
    ]);
    expect(new Set(seen.map((event) => event.id)).size).toBe(seen.length);
    const data = mine.map(({ data }) => (data.case === 'job' ? data.value : undefined));
    expect(data.map((event) => [event?.resultCount, event?.variantCount, event?.results.length])).toEqual([
      [0, 3, 0],
      [0, 3, 0],
      [1, 3, 1],
      [2, 3, 1],
      [3, 3, 3],
    ]);
  });

  it('tells of transforms and deleted images while they happen', async () => {
    const abort = new AbortController();
    const stream = jobs.watchEvents(
      { types: ['imagemesh.transform.completed', 'imagemesh.image.deleted'] },
      { signal: abort.signal },
    );
    const following = stream[Symbol.asyncIterator]();
    expect((await following.next()).value.id).toBe('');
    const { job } = await jobs.getJob({ jobId: await runJob(['a']) });
    await images.transform({ source: { source: { case: 'data', value: picture } } });
    await images.deleteImage({ imageId: job?.sourceImageId ?? '' });
    const seen: (string | undefined)[] = [];
    while (seen.length < 2) seen.push((await following.next()).value.data.case);
    expect(seen.toSorted()).toEqual(['image', 'transform']);
    abort.abort();
  });

  it.each([
    { protocol: 'Connect', type: 'application/connect+json' },
    { protocol: 'gRPC-Web', type: 'application/grpc-web+json' },
  ])('streams over $protocol', async ({ type }) => {
    const id = await runJob(['a']);
    const abort = new AbortController();
    const reply = await fetch(`${mesh.gatewayUrl}/imagemesh.v1.JobService/WatchEvents`, {
      method: 'POST',
      headers: { 'content-type': type },
      body: envelope({ afterSequence: '1000000', subjects: [id], types: ['imagemesh.job.completed'] }),
      signal: abort.signal,
    });
    expect(reply.status).toBe(200);
    const first = await readEnvelopes(reply, 2);
    expect(first[0]).not.toHaveProperty('id');
    expect(first[1]).toMatchObject({ type: 'imagemesh.job.completed', subject: id, job: { jobId: id } });
    abort.abort();
  });

  it('refuses a type that there is not', async () => {
    const stream = jobs.watchEvents({ types: ['imagemesh.job.complete'] });
    const error = await errorOf(readUntil(stream, () => true));
    expect([error.reason, error.violations[0]?.field]).toEqual(['INVALID_REQUEST', 'types[0]']);
  });

  it('says that the gateway stops, and goes on from there when it is back', async () => {
    const id = await runJob(['a']);
    let last = 0n;
    let hasSeen = false;
    const watching = (async () => {
      for await (const { sequence, type, subject } of jobs.watchEvents({ afterSequence: 1_000_000n })) {
        last = sequence;
        hasSeen ||= type === 'imagemesh.job.completed' && subject === id;
      }
    })();
    const ended = errorOf(watching);
    await expect.poll(() => hasSeen, { timeout: 20_000 }).toBe(true);
    await mesh.kill('gateway', 'SIGTERM');
    expect((await ended).code).toBe('unavailable');
    await mesh.restart('gateway');
    const after = await retried(async () => runJob(['b']));
    const seen = await readUntil(
      jobs.watchEvents({ afterSequence: last }),
      ({ subject }) => subject === after,
    );
    expect(seen.some(({ subject }) => subject === id)).toBe(false);
  });
});

const root = fileURLToPath(new URL('../..', import.meta.url));
const hasPython = spawnSync('python3', ['--version']).status === 0;

/** Runs it until a line of its output has the text, then interrupts it; all its lines. */
async function runUntil(command: string, args: readonly string[], text: string): Promise<string[]> {
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const lines: string[] = [];
  try {
    for await (const line of createInterface(child.stdout)) {
      lines.push(line);
      if (line.includes(text)) break;
    }
  } finally {
    child.kill('SIGINT');
    await exited;
  }
  return lines;
}

describe('the example', () => {
  it('consume-events.ts gets completed jobs, and goes on where it left off', async () => {
    const args = ['--import', 'tsx', 'examples/consume-events.ts', mesh.natsUrl, 'test'];
    const first = await runJob(['a']);
    await runUntil(process.execPath, args, first);
    const second = await runJob(['a', 'b']);
    const lines = await runUntil(process.execPath, args, second);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/ made [0-9a-f]{64} [0-9a-f]{64}$/);
  });

  it.runIf(hasPython)('follow_events.py follows, and goes on from the place that it keeps', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'imagemesh-events-'));
    try {
      const place = join(folder, 'place.txt');
      await writeFile(place, '1');
      const args = ['examples/follow_events.py', mesh.gatewayUrl, place];
      const first = await runJob(['a']);
      await runUntil('python3', args, `imagemesh.job.completed ${first}`);
      const second = await runJob(['a']);
      const lines = await runUntil('python3', args, `imagemesh.job.completed ${second}`);
      // The place is kept after the line is printed: the last line may come once more.
      expect(lines.filter((line) => line.includes(first)).length).toBeLessThanOrEqual(1);
      expect(lines.filter((line) => line.includes(second)).map((line) => line.split(' ')[1])).toEqual([
        'imagemesh.job.created',
        'imagemesh.job.started',
        'imagemesh.job.completed',
      ]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

async function retried<Result>(run: () => Promise<Result>): Promise<Result> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await run();
    } catch (error) {
      if (tries > 50) throw error;
      await sleep(200);
    }
  }
}

function envelope(message: unknown): Buffer {
  const bytes = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

async function readEnvelopes(reply: Response, count: number): Promise<unknown[]> {
  const messages: unknown[] = [];
  let held = Buffer.alloc(0);
  if (reply.body === null) throw new Error('the reply has no body');
  const reader = reply.body.getReader();
  while (messages.length < count) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`the stream ended after ${messages.length} messages`);
    held = Buffer.concat([held, value]);
    for (let size = sizeOf(held); held.length >= 5 + size; size = sizeOf(held)) {
      messages.push(JSON.parse(held.subarray(5, 5 + size).toString()));
      held = held.subarray(5 + size);
    }
  }
  return messages;
}

function sizeOf(held: Buffer): number {
  return held.length < 5 ? Number.POSITIVE_INFINITY : held.readUInt32BE(1);
}
