/**
 * Whether slow clients slow the others: calls a second of eight callers, alone and beside four senders at 50 kB/s and fifty
 * readers of a 20 MB image at 50 kB/s. Half of the slow ones talk to the gateway, half to the balancer.
 *
 *   npm run bench:slow-clients [-- --rounds 4 --seconds 10 --readers 50 --json result.json]
 *
 * Quiet and crowded passes take turns; each crowded one waits until every reader has its first bytes, so that no work of theirs is
 * left. Memory is the resident size of each process, the most of any pass. Fails if a call fails, or a reader has
 * no byte after 30 s.
 */
import { setMaxListeners } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { create } from '@bufbuild/protobuf';
import { Format, ImageService, OutputSchema, ResizeService } from '@imagemesh/api';
import { createGrpcClient, deadlineIn } from '@imagemesh/rpc';
import { noisePng, photoLike, startMesh } from '@imagemesh/testkit';
import { residentBytes } from './processes.ts';
import { median } from './statistics.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '4' },
    seconds: { type: 'string', default: '10' },
    readers: { type: 'string', default: '50' },
    json: { type: 'string' },
  },
});
const rounds = Number(values.rounds);
const passMs = Number(values.seconds) * 1000;
const readers = Number(values.readers);
const senders = 4;
const callers = 8;
const bytesPerSecond = 50_000;
const chunkBytes = 64 * 1024;
const mebibyte = 1024 ** 2;
/** It is the work of a second: whoever has no byte by then is held up by others. */
const beginsWithinMs = 30_000;

const photo = await photoLike(1920, 1080);
/** Noise does not compress: 20 MB come out again. */
const large = await noisePng(20_000_000);
// A client reads in windows of a MB and more: at this pace a minute may pass between two.
const env = { STALL_TIMEOUT_MS: '600000' };
const mesh = await startMesh({ replicas: { resize: 2, filter: 0 }, env });
const gateway = createGrpcClient(ImageService, mesh.gatewayAddress);
const names = ['gateway', 'balancer-1', ...mesh.replicaNames()];
const memory = new Map<string, { quiet: number; crowded: number }>(
  names.map((name) => [name, { quiet: 0, crowded: 0 }]),
);
try {
  await pass('quiet');
  const quiet: number[] = [];
  const crowded: number[] = [];
  for (let round = 0; round < rounds; round++) {
    quiet.push(await pass('quiet'));
    const crowd = await startCrowd();
    crowded.push(await pass('crowded'));
    await crowd.end();
  }
  const [alone, beside] = [median(quiet), median(crowded)];
  console.log(`${callers} callers, ${rounds} rounds of ${passMs / 1000} s; medians\n`);
  console.log('| | calls/s | of alone |\n|---|---|---|');
  console.log(`| alone | ${alone.toFixed(1)} | 1 |`);
  console.log(
    `| beside ${senders} slow senders and ${readers} slow readers | ${beside.toFixed(1)} | ${(beside / alone).toFixed(3)} |\n`,
  );
  console.log('| process | MiB alone | MiB beside them |\n|---|---|---|');
  for (const [name, most] of memory) {
    console.log(`| ${name} | ${toMebibytes(most.quiet)} | ${toMebibytes(most.crowded)} |`);
  }
  if (values.json !== undefined) {
    const result = { quiet, crowded, memory: Object.fromEntries(memory) };
    await writeFile(values.json, `${JSON.stringify(result, null, 2)}\n`);
  }
} finally {
  gateway.close();
  await mesh.stop();
}

/** Calls a second of the callers. */
async function pass(kind: 'quiet' | 'crowded'): Promise<number> {
  const startedMs = performance.now();
  let calls = 0;
  const calling = Array.from({ length: callers }, async () => {
    while (performance.now() - startedMs < passMs) {
      const { info } = await gateway.transform({
        source: { source: { case: 'data', value: photo } },
        operations: [{ operation: { case: 'resize', value: { width: 800, height: 600 } } }],
        output: { format: Format.JPEG },
      });
      if (info?.width !== 800) throw new Error('the reply is no image');
      calls++;
    }
  });
  const watching = (async () => {
    while (performance.now() - startedMs < passMs) {
      for (const [name, most] of memory) {
        most[kind] = Math.max(most[kind], residentBytes(mesh.process(name).pid));
      }
      await sleep(250);
    }
  })();
  await Promise.all([...calling, watching]);
  return (calls * 1000) / (performance.now() - startedMs);
}

/** Slow senders and readers, at work until the end; resolves once no replica works for them. */
async function startCrowd(): Promise<{ end(): Promise<void> }> {
  const ending = new AbortController();
  const { signal } = ending;
  setMaxListeners(0, signal);
  const running = Array.from({ length: senders }, (_, index) => sendSlowly(index % 2 === 0, signal));
  for (let index = 0; index < readers; index++) {
    const { hasBegun, ended } = readSlowly(index % 2 === 0, signal);
    running.push(ended);
    await inTime(hasBegun, `reader ${index + 1}`).catch(async (error: unknown) => {
      ending.abort();
      await Promise.allSettled(running);
      throw error;
    });
  }
  return {
    end: async () => {
      ending.abort();
      const failed = (await Promise.allSettled(running)).filter(({ status }) => status === 'rejected');
      if (failed.length > 0) throw new Error(`${failed.length} slow clients failed`, { cause: failed[0] });
      await sleep(500);
    },
  };
}

async function sendSlowly(isToGateway: boolean, signal: AbortSignal): Promise<void> {
  const { messages, send } = openSlow(isToGateway, signal);
  messages.next().catch(() => {});
  const step = bytesPerSecond / 10;
  for (let at = 0; at < large.byteLength && !signal.aborted; at += step) {
    await send(large.subarray(at, at + step)).catch(throwUnless(signal));
    await pause(100, signal);
  }
}

/** `hasBegun`: its first bytes have come. */
function readSlowly(isFromGateway: boolean, signal: AbortSignal) {
  const { messages, send, end } = openSlow(isFromGateway, signal);
  const sending = (async () => {
    for (let at = 0; at < large.byteLength; at += chunkBytes) await send(large.subarray(at, at + chunkBytes));
    end();
  })();
  const next = async () => {
    const { value, done } = await messages.next();
    if (done === true) return undefined;
    return value.message.value instanceof Uint8Array ? value.message.value.byteLength : 0;
  };
  const hasBegun = sending.then(async () => {
    while ((await next()) === 0);
  });
  const ended = hasBegun
    .then(async () => {
      for (let bytes = await next(); bytes !== undefined; bytes = await next()) {
        await pause((bytes * 1000) / bytesPerSecond, signal);
      }
    })
    .catch(throwUnless(signal));
  return { hasBegun, ended };
}

/** A call whose result is as large as its source, on a connection of its own. */
function openSlow(isToGateway: boolean, signal: AbortSignal) {
  const options = { signal, deadline: deadlineIn(600_000) };
  const output = create(OutputSchema, { format: Format.PNG });
  const sizeBytes = BigInt(large.byteLength);
  if (isToGateway) {
    const client = createGrpcClient(ImageService, mesh.gatewayAddress);
    signal.addEventListener('abort', () => setTimeout(client.close, 100));
    const call = client.transformStream(options);
    call.send({ message: { case: 'spec', value: { sizeBytes, output } } }).catch(() => {});
    return parts(call, (value) => call.send({ message: { case: 'chunk', value } }));
  }
  const client = createGrpcClient(ResizeService, mesh.balancerAddresses[0] ?? '');
  signal.addEventListener('abort', () => setTimeout(client.close, 100));
  const call = client.resize(options);
  const content = { case: 'encoded', value: { format: Format.PNG } } as const;
  const spec = { content, sizeBytes, result: { case: 'output', value: output } } as const;
  call.send({ message: { case: 'spec', value: spec } }).catch(() => {});
  return parts(call, (value) => call.send({ message: { case: 'chunk', value } }));
}

interface Part {
  readonly message: { readonly case: string | undefined; readonly value?: unknown };
}

function parts(
  call: { readonly messages: AsyncIterable<Part>; end(): void },
  send: (chunk: Uint8Array) => Promise<void>,
) {
  return { messages: call.messages[Symbol.asyncIterator](), send, end: () => call.end() };
}

async function inTime(begun: Promise<void>, who: string): Promise<void> {
  const isLate = await Promise.race([begun.then(() => false), sleep(beginsWithinMs, true, { ref: false })]);
  if (isLate) throw new Error(`${who} has no byte after ${beginsWithinMs / 1000} s: slow clients hold it up`);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return sleep(ms, undefined, { signal }).catch(() => {});
}

function throwUnless(signal: AbortSignal) {
  return (error: unknown) => {
    if (!signal.aborted) throw error;
  };
}

function toMebibytes(bytes: number): string {
  return (bytes / mebibyte).toFixed(0);
}
