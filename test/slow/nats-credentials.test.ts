/** Each way to show NATS who we are, against a server that asks: the right one makes jobs, a wrong one says what is missing. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { quadrants, startMesh, startNatsWith, type TestMesh } from '@imagemesh/testkit';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { createOperator } from './nats-operator.ts';

const waiting = { timeout: 20_000, interval: 100 };
const secret = 'what-only-nats-and-the-gateway-know';
const wrong = 'what-somebody-guesses';
const operator = createOperator();

let folder: string;
let right: string;
let stranger: string;
const cleanups: (() => Promise<void>)[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imagemesh-nats-credentials-'));
  right = join(folder, 'right.creds');
  stranger = join(folder, 'stranger.creds');
  await writeFile(right, operator.creds, { mode: 0o600 });
  await writeFile(stranger, operator.strangerCreds, { mode: 0o600 });
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function start(lines: readonly string[], env: Readonly<Record<string, string>>): Promise<TestMesh> {
  const nats = await startNatsWith(lines);
  cleanups.push(() => nats.stop());
  const mesh = await startMesh({
    replicas: { resize: 0, filter: 0 },
    natsUrl: `nats://${nats.address}`,
    env: { LOG_LEVEL: 'trace', ...env },
  });
  cleanups.push(() => mesh.stop());
  return mesh;
}

/** Nobody runs it: that it is kept is enough. */
async function createJob(mesh: TestMesh): Promise<{ job?: { state: string }; code?: string }> {
  const data = (await quadrants({ width: 8, height: 8 })).toString('base64');
  const reply = await fetch(`${mesh.gatewayUrl}/imagemesh.v1.JobService/CreateJob`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ source: { data }, variants: [{ operations: [{ resize: { width: 4 } }] }] }),
  });
  // Checked by who asks.
  return (await reply.json()) as { job?: { state: string }; code?: string };
}

const ways = [
  ['a token', [`authorization { token: "${secret}" }`], () => ({ NATS_TOKEN: secret })],
  [
    'a user and a password',
    [`authorization { user: "mesh", password: "${secret}" }`],
    () => ({ NATS_USER: 'mesh', NATS_PASSWORD: secret }),
  ],
  ['a credentials file', operator.lines, () => ({ NATS_CREDS_FILE: right })],
] as const;

it.each(ways)('keeps jobs where NATS wants %s', async (_what, lines, env) => {
  const mesh = await start(lines, env());
  await vi.waitFor(
    async () => expect(await createJob(mesh)).toMatchObject({ job: { state: 'JOB_STATE_QUEUED' } }),
    waiting,
  );
  const log = mesh.logs('gateway').join('\n');
  for (const hidden of [secret, operator.creds.split('\n')[1] ?? '', 'SEED'])
    expect(log).not.toContain(hidden);
});

it.each([
  ['a token', [`authorization { token: "${secret}" }`], () => ({ NATS_TOKEN: wrong })],
  [
    'a password',
    [`authorization { user: "mesh", password: "${secret}" }`],
    () => ({ NATS_USER: 'mesh', NATS_PASSWORD: wrong }),
  ],
  ['a credentials file', operator.lines, () => ({ NATS_CREDS_FILE: stranger })],
  ['a file that is not there', operator.lines, () => ({ NATS_CREDS_FILE: join(folder, 'none') })],
] as const)('has no jobs with the wrong one of %s, and says why in its log', async (_what, lines, env) => {
  const mesh = await start(lines, env());
  await vi.waitFor(
    () => expect(mesh.logs('gateway').some((line) => line.includes('NATS cannot be reached'))).toBe(true),
    waiting,
  );
  expect(await createJob(mesh)).toMatchObject({ code: 'unavailable' });
  const log = mesh.logs('gateway').join('\n');
  expect(log).toMatch(/AUTHORIZATION_VIOLATION|Authorization Violation|ENOENT/);
  expect(log).not.toContain(wrong);
});

it('shows a new credentials file to the next connection', async () => {
  const file = join(folder, 'replaced.creds');
  await writeFile(file, operator.strangerCreds);
  const mesh = await start(operator.lines, { NATS_CREDS_FILE: file });
  expect(await createJob(mesh)).toMatchObject({ code: 'unavailable' });
  await writeFile(file, operator.creds);
  await vi.waitFor(async () => expect(await createJob(mesh)).toHaveProperty('job'), waiting);
});
