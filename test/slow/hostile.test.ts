import { setTimeout as sleep } from 'node:timers/promises';
import { quadrants, startMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attack } from '../hostile/attack.ts';
import { kinds } from '../hostile/kinds.ts';
import type { Target } from '../hostile/target.ts';
import { readVitals, type Vitals } from '../hostile/vitals.ts';

const requests = 10_000;
/** What a slow machine has not sent by then it does not send: the suite ends in two minutes everywhere. */
const withinMs = 2500;
const mebibyte = 1024 ** 2;
const pollMs = 250;

let mesh: Awaited<ReturnType<typeof startMesh>>;
let target: Target;
let pids: Record<string, number>;
let body: string;
let first: Vitals;

const pidsOf = () =>
  Object.fromEntries(['gateway', 'balancer-1', 'resize-1'].map((name) => [name, mesh.process(name).pid]));

beforeAll(async () => {
  mesh = await startMesh({
    replicas: { resize: 1, filter: 0 },
    env: {
      LOG_LEVEL: 'warn',
      HEADERS_TIMEOUT_MS: '3000',
      BODY_TIMEOUT_MS: '3000',
      STALL_TIMEOUT_MS: '3000',
      IDLE_TIMEOUT_MS: '3000',
    },
  });
  const { hostname: host, port } = new URL(mesh.gatewayUrl);
  target = { host, port: Number(port) };
  pids = pidsOf();
  const data = (await quadrants({ width: 32, height: 32 })).toString('base64');
  body = JSON.stringify({ source: { data }, operations: [{ resize: { width: 16 } }] });
  // What a process needs once in its life is not growth.
  for (let call = 0; call < 100; call++) await transform();
  for (const kind of kinds) await attack(kind, target, { requests: 200, withinMs: 1000, seed: 7 });
  first = await calm();
}, 120_000);
afterAll(async () => {
  await mesh?.stop();
});

/** The well-behaved client: its call has to succeed, however slow the machine. */
async function transform(): Promise<void> {
  const reply = await fetch(`${mesh.gatewayUrl}/imagemesh.v1.ImageService/Transform`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', connection: 'close' },
    body,
    signal: AbortSignal.timeout(60_000),
  });
  expect(reply.status).toBe(200);
  await reply.arrayBuffer();
}

const vitals = () => readVitals(mesh.process('gateway').adminUrl);

/** After an attack, once what it had open is closed. */
async function calm(): Promise<Vitals> {
  // The client of this test keeps a connection or two.
  for (let waitedMs = 0; waitedMs < 30_000; waitedMs += pollMs) {
    const now = await vitals();
    if (now.requests + now.connections <= 2) return now;
    await sleep(pollMs);
  }
  throw new Error(`the gateway still has open what the attack opened: ${JSON.stringify(await vitals())}`);
}

describe(`up to ${requests} hostile requests of each kind`, () => {
  it.each(kinds)('hurt nobody: $name', async (kind) => {
    const before = await calm();
    let isOver = false;
    const attacking = attack(kind, target, { requests, withinMs }).finally(() => {
      isOver = true;
    });
    while (!isOver) await transform();
    const { hung, ...counts } = await attacking;
    expect(hung).toBe(0);
    for (const [ending, count] of Object.entries(counts))
      if (count > 0) expect(kind.endings, JSON.stringify(counts)).toContain(ending);
    expect(pidsOf()).toEqual(pids);
    const after = await calm();
    expect(after.openFiles).toBeLessThanOrEqual(before.openFiles + 5);
    expect(after.openHandles).toBeLessThanOrEqual(before.openHandles + 5);
  });

  it('leave no memory behind but what the collector has not yet given back', async () => {
    const last = await calm();
    expect(last.residentBytes - first.residentBytes).toBeLessThan(768 * mebibyte);
  });
});
