/**
 * What each kind of hostile requests costs a well-behaved client: the p99 of its thumbnails beside an attack, against its p99 alone.
 *
 *   npm run bench:hostile [-- --rounds 3 --seconds 2 --kind traversal --json result.json]
 *
 * Quiet and attacked windows take turns, so that what else the machine does falls on both; a window begins when nothing of the
 * last attack is open. The client makes one call after another over gRPC. The attacker is a process of its own, at the lowest
 * priority, as it would be on another machine, and sends as fast as it is answered. Kinds for a gateway with keys meet one.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Format, ImageService } from '@imagemesh/api';
import { createGrpcClient } from '@imagemesh/rpc';
import { photoLike, startMesh, type TestMesh } from '@imagemesh/testkit';
import { keyedKinds } from '../test/hostile/keyed-kinds.ts';
import { startKeyedMesh } from '../test/hostile/keyed-target.ts';
import { kinds } from '../test/hostile/kinds.ts';
import type { Ending, Target } from '../test/hostile/target.ts';
import { readVitals } from '../test/hostile/vitals.ts';
import { cpuMs } from './processes.ts';
import { percentile } from './statistics.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    kind: { type: 'string', default: '' },
    json: { type: 'string' },
  },
});
const rounds = Number(values.rounds);
const windowMs = Number(values.seconds) * 1000;
const env = {
  LOG_LEVEL: 'warn',
  HEADERS_TIMEOUT_MS: '2000',
  BODY_TIMEOUT_MS: '2000',
  STALL_TIMEOUT_MS: '2000',
};
const calmWithinMs = 30_000;
const maxRatio = 3;

/** What `attack` counts, from the process that attacks. */
type Counts = Readonly<Record<Ending, number>>;

interface Row {
  readonly kind: string;
  readonly quietMs: readonly number[];
  readonly attackedMs: readonly number[];
  readonly requests: number;
  readonly gatewayCpuMs: number;
}

const photo = await photoLike(640, 480);
const rows: Row[] = [];

const open = await startMesh({ replicas: { resize: 1, filter: 0 }, env });
try {
  const { hostname: host, port } = new URL(open.gatewayUrl);
  await measure(open, { host, port: Number(port) }, kinds);
} finally {
  await open.stop();
}
const locked = await startKeyedMesh(env);
try {
  await measure(locked.mesh, locked.target, keyedKinds, locked.target.keys.owner);
} finally {
  await locked.stop();
}

console.log(`640×480 → 160 px by Transform, ${rounds} × ${windowMs / 1000} s of each\n`);
console.log('| kind | requests/s | gateway CPU-µs a request | p50 ms, alone → beside | p99 ms | p99 ratio |');
console.log('|---|---|---|---|---|---|');
for (const { kind, quietMs, attackedMs, requests, gatewayCpuMs } of rows) {
  const [quiet, attacked] = [percentile(quietMs, 99), percentile(attackedMs, 99)];
  const cells = [
    kind,
    String(Math.round((requests * 1000) / (rounds * windowMs))),
    String(Math.round((gatewayCpuMs * 1000) / requests)),
    `${percentile(quietMs, 50).toFixed(1)} → ${percentile(attackedMs, 50).toFixed(1)}`,
    `${quiet.toFixed(1)} → ${attacked.toFixed(1)}`,
    `${(attacked / quiet).toFixed(2)}${attacked > maxRatio * quiet ? ' (!)' : ''}`,
  ];
  console.log(`| ${cells.join(' | ')} |`);
}
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(rows, null, 2)}\n`);

async function measure<At extends Target>(
  mesh: TestMesh,
  target: At,
  all: readonly { readonly name: string }[],
  key?: string,
): Promise<void> {
  const client = createGrpcClient(ImageService, mesh.gatewayAddress);
  const gateway = mesh.process('gateway');
  const attacker = fork(new URL('./hostile-attacker.ts', import.meta.url), { serialization: 'advanced' });
  try {
    await callUntil(performance.now() + windowMs);
    for (const { name } of all.filter((kind) => kind.name.includes(values.kind))) {
      const row = {
        kind: name,
        quietMs: [] as number[],
        attackedMs: [] as number[],
        requests: 0,
        gatewayCpuMs: 0,
      };
      for (let round = 0; round < rounds; round++) {
        await calm();
        const idleCpuMs = cpuMs(gateway.pid);
        const quiet = await callUntil(performance.now() + windowMs);
        const quietCpuMs = cpuMs(gateway.pid) - idleCpuMs;
        const attack = startAttack(attacker, { name, target, seed: round + 1 });
        const beforeCpuMs = cpuMs(gateway.pid);
        const attacked = await callUntil(performance.now() + windowMs);
        const counts = await attack.end();
        await calm();
        row.quietMs.push(...quiet);
        row.attackedMs.push(...attacked);
        row.requests += Object.values(counts).reduce((sum, count) => sum + count, 0);
        // Of the client's calls, what they cost alone.
        const ofCalls = (quietCpuMs * attacked.length) / quiet.length;
        row.gatewayCpuMs += Math.max(0, cpuMs(gateway.pid) - beforeCpuMs - ofCalls);
      }
      rows.push(row);
    }
  } finally {
    attacker.kill();
    client.close();
  }

  /** How long each call took, in ms. One that fails fails the run. */
  async function callUntil(endMs: number): Promise<number[]> {
    const tookMs: number[] = [];
    for (let nowMs = performance.now(); nowMs < endMs; ) {
      const { info } = await client.transform(
        {
          source: { source: { case: 'data', value: photo } },
          operations: [{ operation: { case: 'resize', value: { width: 160 } } }],
          output: { format: Format.JPEG },
        },
        key === undefined ? {} : { metadata: { 'x-api-key': key } },
      );
      if (info?.width !== 160) throw new Error('the reply is no thumbnail');
      tookMs.push(performance.now() - nowMs);
      nowMs = performance.now();
    }
    return tookMs;
  }

  /** Once nothing is open but the client's connection. */
  async function calm(): Promise<void> {
    for (const endMs = performance.now() + calmWithinMs; performance.now() < endMs; await sleep(100)) {
      const { connections, requests } = await readVitals(gateway.adminUrl);
      if (connections <= 1 && requests === 0) return;
    }
    throw new Error('what the attack opened stays open');
  }
}

/** Attacks until `end`, which resolves once all that was sent has ended. */
function startAttack(attacker: ChildProcess, what: { name: string; target: Target; seed: number }) {
  attacker.send({ begin: what });
  return {
    async end(): Promise<Counts> {
      const ended = once(attacker, 'message');
      attacker.send({ end: true });
      // A parse boundary: what hostile-attacker.ts sends.
      const [message] = (await ended) as [{ counts?: Counts; error?: string }];
      if (message.counts === undefined) throw new Error(message.error);
      return message.counts;
    },
  };
}
