/** A balancer in this process and calls through it. */
import { randomBytes } from 'node:crypto';
import type { RunningService } from '@imagemesh/observe';
import { createSessionPool, deadlineIn, openWireCall, type SessionPool } from '@imagemesh/rpc';
import { type Config, readConfig } from '../config.ts';
import { startBalancer } from '../server.ts';
import { RESIZE, type SmallReplica, type SmallReplicaOptions, startSmallReplica } from './small-replica.ts';

export interface SmallMesh {
  readonly balancer: RunningService;
  readonly pool: SessionPool;
  replica(options: SmallReplicaOptions): Promise<SmallReplica>;
  call(options?: CallOptions): Promise<CallResult>;
  close(): Promise<void>;
}

export interface CallOptions {
  readonly path?: string;
  readonly body?: Uint8Array;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

export interface CallResult {
  readonly bytes: Buffer;
  readonly replica: string;
  readonly trailers: Readonly<Record<string, unknown>>;
}

export async function startSmallMesh(overrides: Partial<Config> = {}): Promise<SmallMesh> {
  const config = readConfig({ PORT: '0', LOG_LEVEL: 'silent' });
  const balancer = await startBalancer({ ...config, ...overrides });
  const pool = createSessionPool(balancer.address);
  const replicas: SmallReplica[] = [];
  return {
    balancer,
    pool,
    replica: async (options) => {
      const replica = await startSmallReplica(balancer.address, options);
      replicas.push(replica);
      return replica;
    },
    call: (options) => callThrough(pool, options),
    close: async () => {
      await pool.close();
      await balancer.close(500);
      for (const replica of replicas) replica.kill();
    },
  };
}

const small = randomBytes(1000);

/** One call: a spec, the body in chunks, back the same. */
export async function callThrough(pool: SessionPool, options: CallOptions = {}): Promise<CallResult> {
  const { path = RESIZE, body = small, metadata = {}, deadlineMs = 10_000, signal } = options;
  const call = openWireCall(pool, { path, metadata, deadline: deadlineIn(deadlineMs), signal });
  const sending = (async () => {
    await call.writer.message(Buffer.from('spec'));
    await call.writer.chunks(body);
    call.end();
  })();
  // The reply tells what went wrong with the request.
  sending.catch(() => {});
  await call.reader.message();
  const chunks: Buffer[] = [];
  await call.reader.eachChunk((chunk) => {
    chunks.push(chunk);
  }, 1e9);
  const { trailers } = await call.status;
  return { bytes: Buffer.concat(chunks), replica: String(trailers['im-replica']), trailers };
}

export async function until(isTrue: () => boolean | Promise<boolean>, timeoutMs = 15_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await isTrue())) {
    if (performance.now() > endMs) throw new Error(`not true within ${timeoutMs} ms: ${isTrue}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
