/**
 * What the hostile suites prove of each kind of requests: ten thousand of them, in two rounds beside a client whose every call
 * must succeed, end in a refusal or a closed connection, hang nowhere, end no process, and leave neither connections nor
 * handles, nor memory that the second round adds to the first.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { quadrants, type TestMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attack } from './attack.ts';
import type { Kind } from './kind.ts';
import type { Target } from './target.ts';
import { readVitals, type Vitals } from './vitals.ts';

/** Of each kind, over both rounds. */
const requests = 10_000;
const rounds = [1, 2];
/** What a round of 80,000 requests may leave in use: a leak of 400 bytes a request is more. */
const maxUsedGrowthBytes = 32 * 1024 ** 2;
/** The same with what the allocators of V8 and C keep for later, which levels off. */
const maxResidentGrowthBytes = 256 * 1024 ** 2;
const pollMs = 250;

/** Limits in time for the mesh under attack, and what lets its memory be read. */
export const hostileEnv: Readonly<Record<string, string>> = {
  LOG_LEVEL: 'warn',
  HEADERS_TIMEOUT_MS: '2000',
  BODY_TIMEOUT_MS: '2000',
  STALL_TIMEOUT_MS: '2000',
  NODE_OPTIONS: `--import ${new URL('./collect-on-signal.mjs', import.meta.url)}`,
};

export interface HostileSuite<At extends Target> {
  readonly kinds: readonly Kind<At>[];
  /** The mesh, with `hostileEnv`; `apiKey` is the well-behaved client's. */
  start(): Promise<{
    readonly mesh: TestMesh;
    readonly target: At;
    readonly apiKey?: string;
    stop(): Promise<void>;
  }>;
}

/** Defines its tests. */
export function describeHostileRequests<At extends Target>({ kinds, start }: HostileSuite<At>): void {
  let running: Awaited<ReturnType<HostileSuite<At>['start']>>;
  let pids: Record<string, number>;
  let body: string;
  const atEndOfRound: Vitals[] = [];

  const pidOf = (name: string) => running.mesh.process(name).pid;
  const pidsOf = () =>
    Object.fromEntries(['gateway', 'balancer-1', 'resize-1'].map((name) => [name, pidOf(name)]));

  beforeAll(async () => {
    running = await start();
    pids = pidsOf();
    const data = (await quadrants({ width: 32, height: 32 })).toString('base64');
    body = JSON.stringify({ source: { data }, operations: [{ resize: { width: 16 } }] });
  }, 120_000);
  afterAll(async () => {
    await running?.stop();
  });

  /** The well-behaved client: its call has to succeed, however slow the machine. */
  async function transform(): Promise<void> {
    const { mesh, apiKey } = running;
    const reply = await fetch(`${mesh.gatewayUrl}/imagemesh.v1.ImageService/Transform`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        connection: 'close',
        ...(apiKey !== undefined && { 'x-api-key': apiKey }),
      },
      body,
      signal: AbortSignal.timeout(60_000),
    });
    expect(reply.status).toBe(200);
    await reply.arrayBuffer();
  }

  const vitals = () => readVitals(running.mesh.process('gateway').adminUrl);

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

  /** Memory in use: two collections, since the first runs finalizers. */
  async function collected(): Promise<Vitals> {
    await calm();
    for (let time = 0; time < 2; time++) {
      process.kill(pidOf('gateway'), 'SIGUSR2');
      await vitals();
    }
    return vitals();
  }

  describe.each(rounds)('hostile requests, round %i', (round) => {
    it.each(kinds)('hurt nobody: $name', async (kind) => {
      const before = await calm();
      let isOver = false;
      const options = { requests: requests / rounds.length, seed: round };
      const attacking = attack(kind, running.target, options).finally(() => {
        isOver = true;
      });
      // Its failure is looked at below.
      attacking.catch(() => {});
      while (!isOver) await transform();
      const counts = await attacking;
      expect(counts.hung).toBe(0);
      expect(Object.values(counts).reduce((sum, count) => sum + count)).toBe(options.requests);
      for (const [ending, count] of Object.entries(counts))
        if (count > 0) expect(kind.endings, JSON.stringify(counts)).toContain(ending);
      expect(pidsOf()).toEqual(pids);
      const after = await calm();
      expect(after.openFiles).toBeLessThanOrEqual(before.openFiles + 5);
      expect(after.openHandles).toBeLessThanOrEqual(before.openHandles + 5);
    });

    it('are over', async () => {
      atEndOfRound[round - 1] = await collected();
      expect(atEndOfRound).toHaveLength(round);
    });
  });

  it('leave no memory in use: the second round adds nothing to the first', () => {
    const [first, second] = atEndOfRound;
    if (first === undefined || second === undefined) throw new Error('a round has not ended');
    expect(second.usedBytes - first.usedBytes).toBeLessThan(maxUsedGrowthBytes);
    expect(second.residentBytes - first.residentBytes).toBeLessThan(maxResidentGrowthBytes);
  });
}
