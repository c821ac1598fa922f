import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { JobService } from '@imagemesh/api';
import { createGrpcClient, type GrpcClient } from '@imagemesh/rpc';
import { quadrants, startMesh, type TestMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { errorOf } from '../mesh/calls.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const [oldSecret, newSecret] = [1, 2].map((fill) => `whsec_${Buffer.alloc(32, fill).toString('base64')}`);
const patience = { timeout: 40_000, interval: 100 };

let mesh: TestMesh;
let jobs: GrpcClient<typeof JobService>;
let picture: Buffer;
const closing: (() => void)[] = [];

beforeAll(async () => {
  const env = {
    WEBHOOK_SECRETS: `${newSecret},${oldSecret}`,
    WEBHOOK_ALLOW_PRIVATE: 'true',
    WEBHOOK_ALLOW_HTTP: 'true',
  };
  mesh = await startMesh({ nats: true, env });
  jobs = createGrpcClient(JobService, mesh.gatewayAddress);
  picture = await quadrants({ width: 32, height: 32 });
});
afterAll(async () => {
  for (const close of closing) close();
  jobs?.close();
  await mesh?.stop();
});

async function runJob(webhookUrl: string): Promise<string> {
  const { job } = await jobs.createJob({
    source: { source: { case: 'data', value: picture } },
    variants: [{ operations: [{ operation: { case: 'resize', value: { width: 16 } } }] }],
    webhookUrl,
  });
  for await (const _ of jobs.watchJob({ jobId: job?.id ?? '' }));
  return job?.id ?? '';
}

/** The example, with one of the two secrets. */
async function startReceiver(port = 0): Promise<{ port: number; lines: string[]; child: ChildProcess }> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'examples/receive-webhooks.ts'], {
    cwd: root,
    env: { ...process.env, WEBHOOK_SECRET: oldSecret, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  closing.push(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  await expect.poll(() => lines.length, patience).toBeGreaterThan(0);
  return { port: Number(lines.shift()?.split(' ').at(-1)), lines, child };
}

async function serve(
  answer: (at: number) => { status: number; headers?: Record<string, string> } | undefined,
): Promise<{ url: string; seen: { path: string; headers: IncomingHttpHeaders }[]; server: Server }> {
  const seen: { path: string; headers: IncomingHttpHeaders }[] = [];
  const server = createServer((request, response) => {
    seen.push({ path: request.url ?? '', headers: request.headers });
    const given = answer(seen.length);
    if (given !== undefined) response.writeHead(given.status, given.headers).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close().closeAllConnections());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, seen, server };
}

it('gets the end of its job, signed so that the example believes it, and nobody else', async () => {
  const { port, lines } = await startReceiver();
  const id = await runJob(`http://127.0.0.1:${port}/`);
  await expect.poll(() => lines, patience).toEqual([`imagemesh.job.completed ${id} job.completed.${id}`]);
  const forged = await fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    headers: {
      'webhook-id': 'x',
      'webhook-timestamp': String(Math.floor(Date.now() / 1000)),
      'webhook-signature': 'v1,AAAA',
    },
    body: '{}',
  });
  expect(forged.status).toBe(401);
});

it('that fails is asked again with the same id, and a redirect is not followed', async () => {
  const answers = [{ status: 503 }, { status: 302, headers: { location: '/elsewhere' } }];
  const { url, seen } = await serve((at) => answers[at - 1] ?? { status: 200 });
  const id = await runJob(url);
  await expect.poll(() => seen.length, patience).toBe(3);
  expect(seen.map(({ path, headers }) => [path, headers['webhook-id']])).toEqual(
    Array.from({ length: 3 }, () => ['/hook', `job.completed.${id}`]),
  );
});

it('that does not answer holds up neither jobs nor other webhooks', async () => {
  const { url, seen } = await serve(() => undefined);
  for (let job = 0; job < 6; job += 1) await runJob(url);
  await expect.poll(() => seen.length, patience).toBeGreaterThanOrEqual(4);
  const other = await serve(() => ({ status: 200 }));
  await runJob(other.url);
  await expect.poll(() => other.seen.length, { timeout: 8000 }).toBe(1);
});

it('gets what it missed though its gateway was killed', async () => {
  const { port, child } = await startReceiver();
  child.kill('SIGKILL');
  await once(child, 'exit');
  const id = await runJob(`http://127.0.0.1:${port}/`);
  const failures = () =>
    mesh.logs('gateway').filter((line) => line.includes('a webhook failed') && line.includes(id));
  await expect.poll(() => failures().length, patience).toBeGreaterThan(0);
  await mesh.kill('gateway');
  const { lines } = await startReceiver(port);
  await mesh.restart('gateway');
  await expect.poll(() => lines, patience).toEqual([`imagemesh.job.completed ${id} job.completed.${id}`]);
});

it('is refused where it may not go', async () => {
  const error = await errorOf(runJob('ftp://example.org/'));
  expect([error.reason, error.violations[0]?.field]).toEqual(['INVALID_REQUEST', 'webhook_url']);
});
