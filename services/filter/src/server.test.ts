import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  FilterRequestSchema,
  FilterResponseSchema,
  Format,
  MetadataPolicy,
  OperationSchema,
  type WorkHeader,
  type WorkSpecSchema,
} from '@imagemesh/api';
import { createLogger } from '@imagemesh/observe';
import {
  createSessionPool,
  deadlineIn,
  type MeshError,
  openWireCall,
  type SessionPool,
} from '@imagemesh/rpc';
import type { RunningReplica } from '@imagemesh/worker';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from './config.ts';
import { startFilter } from './server.ts';

type SpecInit = MessageInitShape<typeof WorkSpecSchema>;
type OperationInit = NonNullable<MessageInitShape<typeof OperationSchema>['operation']>;

let replica: RunningReplica;
let sessions: SessionPool;

beforeAll(async () => {
  // Nobody listens on port 9; the replica keeps trying to join and serves all the same.
  const config = readConfig({ BALANCER_ADDRESSES: '127.0.0.1:9', MAX_FILTER_PIXELS: '1000000', SLOTS: '2' });
  replica = await startFilter(config, { log: createLogger({ name: 'filter', level: 'silent' }) });
  sessions = createSessionPool(replica.address);
});
afterAll(async () => {
  await sessions?.close();
  await replica?.close(1000);
});

describe('Filter', () => {
  it('blurs pixels for the next stage', async () => {
    const { header, bytes } = await filter(pixelSpec(9, 9, [{ case: 'blur', value: { size: 3 } }]), dot(9));
    expect(header.content).toMatchObject({ case: 'pixels', value: { width: 9, height: 9, channels: 1 } });
    const lit = [...bytes].flatMap((value, at) => (value > 0 ? [[at % 9, Math.floor(at / 9), value]] : []));
    expect(lit).toEqual([3, 4, 5].flatMap((y) => [3, 4, 5].map((x) => [x, y, 20])));
    expect(header.execMs).toBeGreaterThan(0);
  });

  it('encodes the result of the last stage', async () => {
    const spec = pixelSpec(9, 9, [{ case: 'grayscale', value: {} }], {
      case: 'output',
      value: { format: Format.WEBP, lossless: true },
    });
    const { header, bytes } = await filter(spec, dot(9));
    expect(header.content).toMatchObject({
      case: 'encoded',
      value: { format: Format.WEBP, width: 9, height: 9 },
    });
    expect(Buffer.from(bytes).toString('latin1', 8, 12)).toBe('WEBP');
  });

  it('names an operation that it does not do', async () => {
    const spec = pixelSpec(9, 9, [{ case: 'resize', value: { width: 3 } }]);
    const error = await failure(filter(spec, dot(9)));
    expect(error.reason).toBe('INVALID_REQUEST');
    expect(error.violations[0]?.field).toContain('operations[0]');
  });

  it('names a parameter out of its range', async () => {
    const error = await failure(filter(pixelSpec(9, 9, [{ case: 'blur', value: { size: 4 } }]), dot(9)));
    expect(error).toMatchObject({
      reason: 'INVALID_REQUEST',
      violations: [{ field: 'operations[0].blur.size' }],
    });
  });

  it('refuses what is too large for the heap', async () => {
    const error = await failure(
      filter(pixelSpec(1100, 1000, [{ case: 'blur', value: {} }]), new Uint8Array(1_100_000)),
    );
    expect(error).toMatchObject({ reason: 'TOO_MANY_PIXELS', metadata: { maxFilterPixels: '1000000' } });
  });

  it('serves as many calls at a time as it has slots', async () => {
    const spec = pixelSpec(500, 500, [{ case: 'medianBlur', value: { size: 5 } }]);
    const calls = Array.from({ length: 2 }, () => filter(spec, new Uint8Array(250_000).fill(7)));
    for (const { bytes } of await Promise.all(calls)) expect(new Set(bytes)).toEqual(new Set([7]));
  });

  it('gives up at the deadline and goes on serving', async () => {
    const slow: OperationInit = { case: 'gaussianBlur', value: { size: 255 } };
    const error = await failure(filter(pixelSpec(1000, 1000, [slow, slow, slow]), new Uint8Array(1e6), 150));
    expect(error.reason).toBe('DEADLINE_EXCEEDED');
    const { bytes } = await filter(pixelSpec(9, 9, [{ case: 'flip', value: {} }]), dot(9));
    expect(bytes).toEqual(dot(9));
  });
});

function pixelSpec(
  width: number,
  height: number,
  steps: OperationInit[],
  result: NonNullable<SpecInit['result']> = {
    case: 'pixelResult',
    value: { metadata: MetadataPolicy.STRIP },
  },
): SpecInit {
  return {
    content: { case: 'pixels', value: { width, height, channels: 1, bitDepth: 8 } },
    sizeBytes: BigInt(width * height),
    operations: steps.map((operation) => create(OperationSchema, { operation })),
    result,
  };
}

/** Black, but for a grey of 180 in the middle. */
function dot(side: number): Uint8Array {
  const data = new Uint8Array(side * side);
  data[(side * side - 1) / 2] = 180;
  return data;
}

async function filter(
  spec: SpecInit,
  source: Uint8Array,
  timeoutMs = 10_000,
): Promise<{ header: WorkHeader; bytes: Uint8Array }> {
  const call = openWireCall(sessions, {
    path: '/imagemesh.v1.FilterService/Filter',
    deadline: deadlineIn(timeoutMs),
  });
  const send = async () => {
    const message = create(FilterRequestSchema, { message: { case: 'spec', value: spec } });
    await call.writer.message(toBinary(FilterRequestSchema, message));
    await call.writer.chunks(source);
    call.end();
  };
  const sending = send().catch(() => {});
  const first = await call.reader.message();
  const { message } = fromBinary(FilterResponseSchema, first ?? new Uint8Array(0));
  if (message.case !== 'header') throw new Error('no header');
  const bytes = new Uint8Array(Number(message.value.sizeBytes));
  await call.reader.chunksInto(bytes);
  await Promise.all([sending, call.status]);
  return { header: message.value, bytes };
}

async function failure(call: Promise<unknown>): Promise<MeshError> {
  // The wire's errors are MeshErrors.
  return call.then(
    () => Promise.reject(new Error('the call did not fail')),
    (error: MeshError) => error,
  );
}
