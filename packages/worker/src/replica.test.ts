// Longer than most: every test needs the same replica, client and listening balancer, over real sockets.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, type Message, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  BalancerService,
  Destination,
  Format,
  type JoinRequest,
  ResizeRequestSchema,
  ResizeResponseSchema,
  ResizeService,
  WorkerKind,
  type WorkSpecSchema,
} from '@imagemesh/api';
import { createLogger } from '@imagemesh/observe';
import {
  createSessionPool,
  deadlineIn,
  IM_EXEC_MS,
  IM_REPLICA,
  type MeshError,
  openWireCall,
  type RpcServer,
  type SessionPool,
  startRpcServer,
} from '@imagemesh/rpc';
import { type BlobStore, openBlobStore } from '@imagemesh/store';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Agents, Work, WorkCall } from './agents.ts';
import { type RunningReplica, startReplica } from './replica.ts';
import { readReplicaConfig } from './replica-config.ts';

const path = `/${ResizeService.typeName}/Resize`;
const silent = createLogger({ name: 'test', level: 'silent' });

/** A GIF-like minimum: the smallest PNG header that probes (1×1, no data); these agents decode nothing. */
const tinyPng = Buffer.from(
  '89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000049444154',
  'hex',
);

/** Only what init shapes and messages share: what a spread keeps. */
type Spec = Exclude<MessageInitShape<typeof WorkSpecSchema>, Message>;

const pngSpec = (sizeBytes: number): Spec => ({
  content: { case: 'encoded', value: { format: Format.PNG } },
  sizeBytes: BigInt(sizeBytes),
  result: { case: 'output', value: { format: Format.PNG } },
});

/** Agents that answer with the source, once `gate` opens. */
function echoAgents(gate: (call: WorkCall) => Promise<void> = async () => {}): Agents<Work> {
  return {
    validate: () => {},
    process: async (work, call) => {
      await gate(call);
      return work;
    },
    format: async ({ source }) => ({
      bytes: source.bytes,
      content:
        source.kind === 'pixels'
          ? { case: 'pixels', value: source.content }
          : {
              case: 'encoded',
              value: { $typeName: 'imagemesh.v1.ImageInfo', ...source.header, sizeBytes: 0n },
            },
    }),
  };
}

let folder: string;
let store: BlobStore;
let replica: RunningReplica | undefined;
let pool: SessionPool | undefined;
const closing: (() => Promise<void>)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'replica-'));
  store = await openBlobStore(`file:${folder}`);
});

afterEach(async () => {
  await pool?.close();
  await replica?.close(100);
  for (const close of closing.splice(0)) await close();
  pool = undefined;
  replica = undefined;
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

async function start(agents: Agents<Work>, env: Record<string, string> = {}, onDrained?: () => void) {
  replica = await startReplica({
    name: 'resize',
    worker: WorkerKind.RESIZE,
    operations: ['resize', 'crop'],
    agents,
    config: readReplicaConfig(
      { BALANCER_ADDRESSES: '127.0.0.1:9', STORE_URL: `file:${folder}`, ...env },
      'resize',
    ),
    log: silent,
    ...(onDrained && { onDrained }),
  });
  pool = createSessionPool(replica.address);
  return replica;
}

/** One call: the messages given, then the reply, or the error it ended with. */
async function call(
  parts: readonly (Spec | Uint8Array)[],
  options: { timeoutMs?: number; signal?: AbortSignal } = {},
) {
  if (pool === undefined) throw new Error('start a replica first');
  const { timeoutMs = 5000, signal } = options;
  const wire = openWireCall(pool, { path, deadline: deadlineIn(timeoutMs), ...(signal && { signal }) });
  const sending = (async () => {
    for (const part of parts) {
      if (part instanceof Uint8Array) await wire.writer.chunks(part, 1000);
      else await wire.writer.message(specMessage(part));
    }
    wire.end();
  })();
  sending.catch(() => {});
  const first = await wire.reader.message();
  const header = fromBinary(ResizeResponseSchema, first ?? new Uint8Array(0)).message;
  if (header.case !== 'header') throw new Error('no header');
  const bytes: Buffer[] = [];
  await wire.reader.eachChunk((chunk) => {
    bytes.push(Buffer.from(chunk));
  }, 1e9);
  const { trailers } = await wire.status;
  return { header: header.value, bytes: Buffer.concat(bytes), trailers };
}

function specMessage(spec: Spec): Uint8Array {
  return toBinary(
    ResizeRequestSchema,
    create(ResizeRequestSchema, { message: { case: 'spec', value: spec } }),
  );
}

async function failure(promise: Promise<unknown>): Promise<MeshError> {
  return promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: MeshError) => error,
  );
}

describe('a call', () => {
  it('answers with a header, the bytes, and who did it', async () => {
    await start(echoAgents(), { REPLICA_ID: 'r-1' });
    const { header, bytes, trailers } = await call([pngSpec(tinyPng.length), tinyPng]);
    expect(bytes.equals(tinyPng)).toBe(true);
    expect(header).toMatchObject({ replicaId: 'r-1', sizeBytes: BigInt(tinyPng.length) });
    expect(header.content).toMatchObject({ case: 'encoded', value: { width: 1, height: 1 } });
    expect(trailers[IM_REPLICA]).toBe('r-1');
    expect(Number(trailers['im-exec-ms'])).toBeGreaterThanOrEqual(0);
  });

  it('takes pixels of many chunks and gives them back byte by byte', async () => {
    await start(echoAgents());
    const pixels = Buffer.alloc(200 * 100 * 3, 7).map((_, index) => index & 255);
    const spec: Spec = {
      content: { case: 'pixels', value: { width: 200, height: 100, channels: 3, bitDepth: 8 } },
      sizeBytes: BigInt(pixels.length),
      result: { case: 'pixelResult', value: {} },
    };
    const { bytes } = await call([spec, pixels]);
    expect(bytes.equals(pixels)).toBe(true);
  });

  it('reads its source from the store and saves its result there', async () => {
    await start(echoAgents());
    const { id } = await store.putImage(tinyPng, { maxBytes: 1000 });
    const spec: Spec = {
      ...pngSpec(tinyPng.length),
      blob: { key: { case: 'imageId', value: id } },
      destination: Destination.IMAGE,
    };
    const { header, bytes } = await call([spec]);
    expect(bytes).toHaveLength(0);
    expect(header.blob?.key).toEqual({ case: 'imageId', value: id });
  });

  it.each<[string, string, readonly (Spec | Uint8Array)[], string | undefined]>([
    ['a chunk before the spec', 'INVALID_REQUEST', [tinyPng, pngSpec(tinyPng.length)], 'chunk'],
    ['nothing at all', 'INVALID_REQUEST', [], 'spec'],
    ['fewer bytes than announced', 'SIZE_MISMATCH', [pngSpec(tinyPng.length + 1), tinyPng], undefined],
    ['more bytes than announced', 'SIZE_MISMATCH', [pngSpec(3), tinyPng], undefined],
    ['a size beyond the limit', 'BODY_TOO_LARGE', [pngSpec(1e12), tinyPng], undefined],
    ['a size of zero', 'INVALID_REQUEST', [pngSpec(0)], 'size_bytes'],
    ['bytes that are no image', 'NOT_AN_IMAGE', [pngSpec(100), Buffer.alloc(100, 65)], undefined],
    [
      'another format than announced',
      'INVALID_REQUEST',
      [{ ...pngSpec(tinyPng.length), content: { case: 'encoded', value: { format: Format.JPEG } } }, tinyPng],
      'encoded.format',
    ],
    ['no result', 'INVALID_REQUEST', [{ ...pngSpec(1), result: { case: undefined } }], 'result'],
    [
      'an operation of another service',
      'INVALID_REQUEST',
      [{ ...pngSpec(tinyPng.length), operations: [{ operation: { case: 'blur', value: {} } }] }, tinyPng],
      'operations[0].blur',
    ],
    [
      'a side of zero',
      'INVALID_REQUEST',
      [
        { ...pngSpec(tinyPng.length), operations: [{ operation: { case: 'resize', value: { width: 0 } } }] },
        tinyPng,
      ],
      'operations[0].resize.width',
    ],
    [
      'a crop outside the image',
      'OPERATION_OUT_OF_BOUNDS',
      [
        {
          ...pngSpec(tinyPng.length),
          operations: [{ operation: { case: 'crop', value: { width: 2, height: 1 } } }],
        },
        tinyPng,
      ],
      'operations[0].crop.width',
    ],
    [
      'a result beyond the limit',
      'OUTPUT_TOO_LARGE',
      [
        {
          ...pngSpec(tinyPng.length),
          operations: [{ operation: { case: 'resize', value: { width: 60000 } } }],
        },
        tinyPng,
      ],
      'operations[0].resize',
    ],
    [
      'lossless JPEG',
      'INVALID_REQUEST',
      [
        {
          ...pngSpec(tinyPng.length),
          result: { case: 'output', value: { format: Format.JPEG, lossless: true } },
        },
        tinyPng,
      ],
      'output.lossless',
    ],
    [
      'pixels of another size than their shape',
      'SIZE_MISMATCH',
      [
        {
          ...pngSpec(5),
          content: { case: 'pixels', value: { width: 2, height: 1, channels: 3, bitDepth: 8 } },
        },
        Buffer.alloc(5),
      ],
      'size_bytes',
    ],
    [
      'a blob that is not there',
      'BLOB_NOT_FOUND',
      [{ ...pngSpec(5), blob: { key: { case: 'imageId', value: 'a'.repeat(64) } } }],
      undefined,
    ],
    [
      'a blob and chunks',
      'SIZE_MISMATCH',
      [{ ...pngSpec(5), blob: { key: { case: 'imageId', value: 'a'.repeat(64) } } }, Buffer.alloc(5)],
      undefined,
    ],
  ])('refuses %s: %s', async (_, reason, parts, field) => {
    await start(echoAgents());
    const error = await failure(call(parts));
    expect(error.reason).toBe(reason);
    if (field !== undefined) expect(error.violations.map((violation) => violation.field)).toContain(field);
    // And it lives.
    await call([pngSpec(tinyPng.length), tinyPng]);
  });

  it('refuses a second spec by name', async () => {
    await start(echoAgents());
    const error = await failure(call([pngSpec(tinyPng.length), pngSpec(tinyPng.length), tinyPng]));
    expect(error.reason).toBe('INVALID_REQUEST');
    expect(error.violations[0]?.field).toBe('spec');
  });

  it('answers an error of the agents that is no MeshError as INTERNAL, without what it says', async () => {
    await start(
      echoAgents(async () => {
        throw new TypeError('secret');
      }),
    );
    const error = await failure(call([pngSpec(tinyPng.length), tinyPng]));
    expect(error.reason).toBe('INTERNAL');
    expect(error.message).not.toMatch(/secret/);
  });
});

describe('slots', () => {
  it('says BUSY at once when all are taken, and takes calls again when one is free', async () => {
    const gate = deferred<void>();
    const begun = deferred<void>();
    await start(
      echoAgents(async () => {
        begun.resolve();
        await gate.promise;
      }),
    );
    const first = call([pngSpec(tinyPng.length), tinyPng]);
    await begun.promise;
    const error = await failure(call([pngSpec(tinyPng.length), tinyPng]));
    expect(error.reason).toBe('REPLICA_BUSY');
    gate.resolve();
    await first;
    await call([pngSpec(tinyPng.length), tinyPng]);
  });

  it('are free while replies wait for their readers, up to the bytes allowed', async () => {
    await start(echoAgents(), { MAX_UNREAD_REPLY_BYTES: '20000000' });
    const image = Buffer.concat([tinyPng, Buffer.alloc(12_000_000)]);
    const unread = async () => {
      if (pool === undefined) throw new Error('start a replica first');
      const wire = openWireCall(pool, { path, deadline: deadlineIn(10_000) });
      wire.status.catch(() => {});
      await wire.writer.message(specMessage(pngSpec(image.length)));
      await wire.writer.chunks(image);
      wire.end();
      const headers = await wire.response;
      expect(Number(headers[IM_EXEC_MS])).toBeGreaterThan(0);
      return wire;
    };
    const first = await unread();
    await unread();
    await expect(call([pngSpec(tinyPng.length), tinyPng])).rejects.toMatchObject({ reason: 'REPLICA_BUSY' });
    first.cancel();
    await expect
      .poll(() =>
        call([pngSpec(tinyPng.length), tinyPng]).then(
          () => 'answered',
          ({ reason }) => reason,
        ),
      )
      .toBe('answered');
  });

  it('keeps the slot of a cancelled call until its work has really ended', async () => {
    const gate = deferred<void>();
    const begun = deferred<AbortSignal>();
    await start(
      echoAgents(async ({ signal }) => {
        begun.resolve(signal);
        await gate.promise;
      }),
    );
    const caller = new AbortController();
    const first = failure(call([pngSpec(tinyPng.length), tinyPng], { signal: caller.signal }));
    const signal = await begun.promise;
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    caller.abort();
    expect((await first).reason).toBe('CANCELLED');
    await aborted;
    expect((await failure(call([pngSpec(tinyPng.length), tinyPng]))).reason).toBe('REPLICA_BUSY');
    gate.resolve();
    await call([pngSpec(tinyPng.length), tinyPng]);
  });

  it('answers at the deadline while the work goes on', async () => {
    const gate = deferred<void>();
    await start(echoAgents(() => gate.promise));
    const error = await failure(call([pngSpec(tinyPng.length), tinyPng], { timeoutMs: 50 }));
    expect(error.reason).toBe('DEADLINE_EXCEEDED');
    gate.resolve();
  });
});

/** A balancer that only listens to what replicas say. */
async function startBalancer(port = 0) {
  const heard: JoinRequest['message'][] = [];
  let drain = () => {};
  const server: RpcServer = await startRpcServer({
    port,
    routes: (router) => {
      router.service(BalancerService, {
        join: async function* (requests, context) {
          const draining = new Promise<void>((resolve) => {
            drain = resolve;
          });
          yield { message: { case: 'accepted', value: { balancerId: 'b', reportIntervalMs: 20 } } };
          (async () => {
            for await (const { message } of requests) heard.push(message);
          })().catch(() => {});
          const ended = new Promise<void>((resolve) =>
            context.signal.addEventListener('abort', () => resolve()),
          );
          await Promise.race([draining, ended]);
          if (!context.signal.aborted) yield { message: { case: 'drain', value: { reason: 'test' } } };
          await ended;
        },
      });
    },
  });
  closing.push(() => server.close(0));
  return { port: server.port, heard, drain: () => drain(), close: () => server.close(0) };
}

/** Promise.withResolvers, which Node 20 has not. */
function deferred<Value>() {
  let resolve: (value: Value) => void = () => {};
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

async function until(isSo: () => boolean): Promise<void> {
  const endMs = performance.now() + 5000;
  while (!isSo()) {
    if (performance.now() > endMs) throw new Error('it did not come about');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('membership', () => {
  it('says hello, then how it is, again and again', async () => {
    const balancer = await startBalancer();
    const { address } = await start(echoAgents(), {
      BALANCER_ADDRESSES: `127.0.0.1:${balancer.port}`,
      SLOTS: '3',
    });
    await until(() => balancer.heard.length >= 3);
    expect(balancer.heard[0]).toMatchObject({
      case: 'hello',
      value: { address, worker: WorkerKind.RESIZE, slots: 3, storeId: store.id, idempotentMethods: [path] },
    });
    expect(balancer.heard[1]).toMatchObject({ case: 'report', value: { serving: true, inFlight: 0 } });
  });

  it('says that it has no store where it cannot reach the one it was given, and works on bytes', async () => {
    const balancer = await startBalancer();
    await start(echoAgents(), {
      BALANCER_ADDRESSES: `127.0.0.1:${balancer.port}`,
      STORE_URL: 'file:/dev/null/store',
    });
    await until(() => balancer.heard.length >= 1);
    expect(balancer.heard[0]).toMatchObject({ case: 'hello', value: { storeId: '' } });
  });

  it('joins every balancer, and joins again one that comes back', async () => {
    const first = await startBalancer();
    const second = await startBalancer();
    const running = await start(echoAgents(), {
      BALANCER_ADDRESSES: `127.0.0.1:${first.port},127.0.0.1:${second.port}`,
    });
    await until(() => running.joined() === 2);
    await first.close();
    await until(() => running.joined() === 1);
    await startBalancer(first.port);
    await until(() => running.joined() === 2);
  });

  it('drains when told: it finishes what it has, takes nothing more, and says that it is done', async () => {
    const balancer = await startBalancer();
    const gate = deferred<void>();
    const begun = deferred<void>();
    let isDrained = false;
    const running = await start(
      echoAgents(async () => {
        begun.resolve();
        await gate.promise;
      }),
      { BALANCER_ADDRESSES: `127.0.0.1:${balancer.port}`, SLOTS: '2' },
      () => {
        isDrained = true;
      },
    );
    await until(() => running.joined() === 1);
    const first = call([pngSpec(tinyPng.length), tinyPng]);
    await begun.promise;
    balancer.drain();
    await until(() => balancer.heard.some((message) => message.case === 'report' && !message.value.serving));
    expect((await failure(call([pngSpec(tinyPng.length), tinyPng]))).reason).toBe('REPLICA_STOPPING');
    expect(isDrained).toBe(false);
    gate.resolve();
    await first;
    await until(() => isDrained);
  });

  it('finishes running calls when it is closed', async () => {
    const gate = deferred<void>();
    const begun = deferred<void>();
    const running = await start(
      echoAgents(async () => {
        begun.resolve();
        await gate.promise;
      }),
    );
    const first = call([pngSpec(tinyPng.length), tinyPng]);
    await begun.promise;
    const closed = running.close(3000);
    replica = undefined;
    gate.resolve();
    expect((await first).bytes.length).toBe(tinyPng.length);
    await closed;
  });
});
