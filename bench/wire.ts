/**
 * The price of the framed byte streams alone: CPU-ms per call of each end, no image work.
 * Run: node --import tsx --conditions=source bench/wire.ts
 *
 * A client process and a server process, 8 calls at a time, 100 kB back; the server reads each body into a buffer of
 * its own (reused between calls where it says so: fresh multi-megabyte buffers cost more than reading into them).
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import {
  createSessionPool,
  openWireCall,
  type SessionPool,
  startRpcServer,
  wireHandler,
} from '@imagemesh/rpc';

const path = '/bench.Wire/Echo';
const replyBytes = 100_000;
const concurrency = 8;
const rounds = [
  { bytes: 100_000, calls: 2000 },
  { bytes: 300_000, calls: 2000 },
  { bytes: 700_000, calls: 1000 },
  { bytes: 4_100_000, calls: 200 },
];

if (process.send === undefined) await runClient();
else await runServer();

async function runServer(): Promise<void> {
  const reply = Buffer.alloc(replyBytes, 7);
  const free: Buffer[] = [];
  let sinceUsage = process.cpuUsage();
  const serve = wireHandler(async (call) => {
    const { bytes, isReused } = JSON.parse(Buffer.from((await call.reader.message()) ?? []).toString());
    if (bytes === undefined) {
      const used = process.cpuUsage(sinceUsage);
      sinceUsage = process.cpuUsage();
      await call.writer.message(Buffer.from(String((used.user + used.system) / 1000)));
      return;
    }
    if (free[0]?.byteLength !== bytes) free.length = 0;
    const target = (isReused ? free.pop() : undefined) ?? Buffer.allocUnsafeSlow(bytes);
    await call.reader.chunksInto(target);
    if (isReused) free.push(target);
    await call.writer.message(Buffer.alloc(40));
    await call.writer.chunks(reply);
  });
  const server = await startRpcServer({ routes: () => {}, streams: new Map([[path, serve]]) });
  process.on('disconnect', () => process.exit(0));
  process.send?.(server.port);
}

async function runClient(): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url));
  const port = await new Promise((resolve) => child.once('message', resolve));
  const pool = createSessionPool(`127.0.0.1:${port}`);
  console.log('   bytes  buffer   calls/s  server CPU-ms  client CPU-ms');
  for (const { bytes, calls } of rounds) {
    for (const isReused of [false, true]) {
      await callMany(pool, calls / 4, bytes, isReused);
      await serverCpuMs(pool);
      const before = process.cpuUsage();
      const startedMs = performance.now();
      await callMany(pool, calls, bytes, isReused);
      const seconds = (performance.now() - startedMs) / 1000;
      const used = process.cpuUsage(before);
      const server = (await serverCpuMs(pool)) / calls;
      const client = (used.user + used.system) / 1000 / calls;
      const row = [
        String(bytes).padStart(8),
        isReused ? 'reused' : 'fresh ',
        (calls / seconds).toFixed(0).padStart(9),
      ];
      console.log(...row, server.toFixed(3).padStart(14), client.toFixed(3).padStart(14));
    }
  }
  await pool.close();
  child.disconnect();
}

async function callMany(pool: SessionPool, calls: number, bytes: number, isReused: boolean): Promise<void> {
  const body = Buffer.alloc(bytes, 3);
  let left = calls;
  const work = async () => {
    while (left-- > 0) await callOnce(pool, body, isReused);
  };
  await Promise.all(Array.from({ length: concurrency }, work));
}

async function callOnce(pool: SessionPool, body: Buffer, isReused: boolean): Promise<void> {
  const call = openWireCall(pool, { path });
  await call.writer.message(Buffer.from(JSON.stringify({ bytes: body.byteLength, isReused })));
  await call.writer.chunks(body);
  call.end();
  await call.reader.message();
  await call.reader.chunksInto(Buffer.allocUnsafe(replyBytes));
  await call.status;
}

async function serverCpuMs(pool: SessionPool): Promise<number> {
  const call = openWireCall(pool, { path });
  await call.writer.message(Buffer.from('{}'));
  call.end();
  const answer = await call.reader.message();
  call.cancel();
  return Number(Buffer.from(answer ?? []).toString());
}
