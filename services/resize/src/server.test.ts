import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  Format,
  ResizeRequestSchema,
  ResizeResponseSchema,
  ResizeService,
  type WorkSpecSchema,
} from '@imagemesh/api';
import { createLogger } from '@imagemesh/observe';
import { createSessionPool, deadlineIn, openWireCall, type SessionPool } from '@imagemesh/rpc';
import type { RunningReplica } from '@imagemesh/worker';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readConfig } from './config.ts';
import { startResize } from './server.ts';
import { encodePng, quadrants } from './test-images.ts';

let replica: RunningReplica;
let pool: SessionPool;

beforeAll(async () => {
  const config = readConfig({ BALANCER_ADDRESSES: '127.0.0.1:9' });
  replica = await startResize(config, { log: createLogger({ name: 'test', level: 'silent' }) });
  pool = createSessionPool(replica.address);
});

afterAll(async () => {
  await pool.close();
  await replica.close(100);
});

async function transform(source: Buffer, spec: Parameters<typeof create<typeof WorkSpecSchema>>[1]) {
  const call = openWireCall(pool, {
    path: `/${ResizeService.typeName}/Resize`,
    deadline: deadlineIn(10_000),
  });
  const request = create(ResizeRequestSchema, {
    message: { case: 'spec', value: { sizeBytes: BigInt(source.length), ...spec } },
  } as Parameters<typeof create<typeof ResizeRequestSchema>>[1]);
  await call.writer.message(toBinary(ResizeRequestSchema, request));
  await call.writer.chunks(source);
  call.end();
  const { message } = fromBinary(ResizeResponseSchema, (await call.reader.message()) ?? new Uint8Array(0));
  const chunks: Buffer[] = [];
  await call.reader.eachChunk((chunk) => {
    chunks.push(Buffer.from(chunk));
  }, 1e8);
  await call.status;
  return { message, bytes: Buffer.concat(chunks) };
}

it('resizes, crops, turns and encodes over the wire', async () => {
  const source = await encodePng(quadrants({ width: 64, height: 32 }));
  const { message, bytes } = await transform(source, {
    content: { case: 'encoded', value: { format: Format.PNG } },
    operations: [
      { operation: { case: 'crop', value: { left: 32, width: 32, height: 32 } } },
      { operation: { case: 'rotate', value: { angle: 90 } } },
      { operation: { case: 'resize', value: { width: 16 } } },
    ],
    result: { case: 'output', value: { format: Format.WEBP, lossless: true } },
  });
  expect(message).toMatchObject({
    case: 'header',
    value: { content: { value: { width: 16, height: 16, format: Format.WEBP } } },
  });
  // Right half: green over white; turned clockwise: white left, green right.
  const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
  const at = (x: number, y: number) => [
    ...data.subarray((y * info.width + x) * info.channels, (y * info.width + x) * info.channels + 3),
  ];
  expect(at(2, 8)).toEqual([255, 255, 255]);
  expect(at(13, 8)).toEqual([0, 255, 0]);
});

it('refuses a truncated image and lives', async () => {
  const whole = await sharp(await encodePng(quadrants({ width: 64, height: 32 })))
    .jpeg()
    .toBuffer();
  const spec = {
    content: { case: 'encoded', value: { format: Format.JPEG } },
    result: { case: 'output', value: { format: Format.PNG } },
  } as const;
  await expect(transform(whole.subarray(0, whole.length - 40), spec)).rejects.toMatchObject({
    reason: 'DAMAGED_IMAGE',
  });
  expect((await transform(whole, spec)).message.case).toBe('header');
});
