import { crc32 } from 'node:zlib';
import { create, toBinary } from '@bufbuild/protobuf';
import { Format, ImageService, TransformStreamRequestSchema } from '@imagemesh/api';
import {
  createGrpcClient,
  createSessionPool,
  type GrpcClient,
  openWireCall,
  type SessionPool,
} from '@imagemesh/rpc';
import { quadrants, startMesh } from '@imagemesh/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { errorOf, transformStream, uploadImage } from './calls.ts';

type Pipeline = NonNullable<Parameters<GrpcClient<typeof ImageService>['transform']>[0]['operations']>;

let mesh: Awaited<ReturnType<typeof startMesh>>;
let images: GrpcClient<typeof ImageService>;
let pool: SessionPool;
let picture: Buffer;
let pids: Record<string, number>;

beforeAll(async () => {
  mesh = await startMesh({ replicas: { resize: 1, filter: 1 }, nats: false });
  images = createGrpcClient(ImageService, mesh.gatewayAddress);
  pool = createSessionPool(mesh.gatewayAddress);
  picture = await quadrants({ width: 64, height: 64 });
  pids = pidsOf();
});
afterAll(async () => {
  images?.close();
  await pool?.close();
  await mesh?.stop();
});
afterEach(async () => {
  // Whatever was sent: no process died of it, and the next call works.
  expect(pidsOf()).toEqual(pids);
  const reply = await transform(picture, [{ operation: { case: 'blur', value: {} } }]);
  expect(reply.info?.width).toBe(64);
});

const pidsOf = () =>
  Object.fromEntries(
    ['gateway', 'balancer-1', 'resize-1', 'filter-1'].map((name) => [name, mesh.process(name).pid]),
  );

const transform = (data: Uint8Array, operations: Pipeline, format = Format.UNSPECIFIED) =>
  images.transform({ source: { source: { case: 'data', value: data } }, operations, output: { format } });

const resize = (value: object): Pipeline => [{ operation: { case: 'resize', value } }];

describe('a source that is no good', () => {
  it.each([
    ['zero bytes', () => Buffer.alloc(0), 'NOT_AN_IMAGE'],
    ['text', () => Buffer.from('hello, this is not an image at all'), 'NOT_AN_IMAGE'],
    [
      'random bytes',
      () => Buffer.from(Array.from({ length: 5000 }, (_, at) => (at * 7919) % 251)),
      'NOT_AN_IMAGE',
    ],
    [
      'an SVG',
      () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'),
      'UNSUPPORTED_FORMAT',
    ],
    ['a PNG cut in half', () => picture.subarray(0, picture.byteLength / 2), 'DAMAGED_IMAGE'],
  ])('%s is INVALID_ARGUMENT', async (_name, bytes, reason) => {
    const error = await errorOf(transform(bytes(), resize({ width: 10 })));
    expect([error.code, error.reason]).toEqual(['invalid_argument', reason]);
  });

  it('a truncated JPEG is INVALID_ARGUMENT in both services', async () => {
    const jpeg = await quadrants({ width: 512, height: 512, format: 'jpeg' });
    const half = jpeg.subarray(0, jpeg.byteLength / 2);
    for (const operations of [resize({ width: 10 }), [{ operation: { case: 'blur' as const, value: {} } }]]) {
      const error = await errorOf(transform(half, operations));
      expect([error.code, error.reason]).toEqual(['invalid_argument', 'DAMAGED_IMAGE']);
    }
  });

  it('too many pixels are refused from the header, before decoding', async () => {
    const error = await errorOf(transform(pngOfSize(picture, 60_000, 60_000), resize({ width: 10 })));
    expect([error.code, error.reason]).toEqual(['resource_exhausted', 'TOO_MANY_PIXELS']);
    expect(error.message).toMatch(/3600000000|3,600,000,000|3600/);
  });

  it('an unknown image id is NOT_FOUND and names it', async () => {
    const imageId = 'ab'.repeat(32);
    const source = { source: { case: 'imageId' as const, value: imageId } };
    const error = await errorOf(images.transform({ source }));
    expect([error.code, error.reason, error.resource?.name]).toEqual([
      'not_found',
      'IMAGE_NOT_FOUND',
      imageId,
    ]);
  });
});

describe('an operation that is no good', () => {
  it.each([
    ['width 0', resize({ width: 0 }), 'operations[0].resize.width'],
    ['a negative width', resize({ width: -5 }), 'operations[0].resize.width'],
    ['an absurd width', resize({ width: 1_000_000 }), 'operations[0].resize.width'],
    ['neither side', resize({}), 'operations[0].resize'],
    ['no operation', [{}] as Pipeline, 'operations[0].operation'],
    [
      'an even kernel',
      [{ operation: { case: 'blur' as const, value: { size: 4 } } }],
      'operations[0].blur.size',
    ],
    [
      'a crop outside the image',
      [
        ...resize({ width: 32 }),
        { operation: { case: 'crop' as const, value: { left: 20, width: 20, height: 5 } } },
      ],
      'operations[1].crop',
    ],
    [
      'thresholds the wrong way round',
      [{ operation: { case: 'edges' as const, value: { lowThreshold: 300 } } }],
      'operations[0].edges',
    ],
  ])('%s is INVALID_ARGUMENT and names the field', async (_name, operations, field) => {
    const error = await errorOf(transform(picture, operations));
    expect(error.code).toBe('invalid_argument');
    expect(error.violations.map((violation) => violation.field).join()).toContain(field);
  });

  it('a result of too many pixels is refused before it is made', async () => {
    const error = await errorOf(transform(picture, resize({ width: 60_000, height: 60_000 })));
    expect([error.code, error.reason]).toEqual(['resource_exhausted', 'OUTPUT_TOO_LARGE']);
    expect(error.message).toContain('operations[0].resize');
  });

  it('a pipeline of too many pixels in all is refused', async () => {
    const large: Pipeline = Array.from({ length: 20 }, (_, at) =>
      resize({ width: 6000 + at, height: 6000 }),
    ).flat();
    const error = await errorOf(transform(picture, large));
    expect([error.code, error.reason]).toEqual(['resource_exhausted', 'OUTPUT_TOO_LARGE']);
  });

  it('a token of another list, or of none, is refused', async () => {
    for (const pageToken of ['nonsense', 'x'.repeat(512), Buffer.from('../../..').toString('base64url')]) {
      const error = await errorOf(images.listImages({ pageToken }));
      expect([error.code, error.reason]).toEqual(['invalid_argument', 'INVALID_REQUEST']);
      expect(error.violations.map(({ field }) => field)).toEqual(['page_token']);
    }
  });
});

describe('a stream that is no good', () => {
  const open = () => openWireCall(pool, { path: '/imagemesh.v1.ImageService/TransformStream' });
  const spec = () =>
    toBinary(
      TransformStreamRequestSchema,
      create(TransformStreamRequestSchema, {
        message: { case: 'spec', value: { operations: resize({ width: 10 }) } },
      }),
    );

  it('a chunk before the spec is INVALID_ARGUMENT', async () => {
    const call = open();
    await call.writer.chunks(picture);
    call.end();
    const error = await errorOf(call.status);
    expect(error.code).toBe('invalid_argument');
    expect(error.message).toMatch(/spec/);
  });

  it('a second spec is INVALID_ARGUMENT', async () => {
    const call = open();
    await call.writer.message(spec());
    await call.writer.message(spec());
    await call.writer.chunks(picture);
    call.end();
    const error = await errorOf(call.status);
    expect(error.code).toBe('invalid_argument');
    expect(error.message).toMatch(/first message|spec/);
  });

  it('no source at all is INVALID_ARGUMENT', async () => {
    const error = await errorOf(transformStream(pool, {}, new Uint8Array()));
    expect(error.code).toBe('invalid_argument');
  });

  it('a source of another size than announced is INVALID_ARGUMENT', async () => {
    const error = await errorOf(transformStream(pool, { sizeBytes: 10n }, picture));
    expect([error.code, error.reason]).toEqual(['invalid_argument', 'SIZE_MISMATCH']);
  });

  it('an upload of another digest than announced stores nothing', async () => {
    const error = await errorOf(uploadImage(pool, { sha256: 'ab'.repeat(32) }, picture));
    expect([error.code, error.reason]).toEqual(['invalid_argument', 'DIGEST_MISMATCH']);
  });

  it('an upload announced over the limit is refused before its bytes', async () => {
    const error = await errorOf(uploadImage(pool, { sizeBytes: 10n ** 12n }, picture));
    expect([error.code, error.reason]).toEqual(['resource_exhausted', 'BODY_TOO_LARGE']);
  });

  it('an upload that is not an image is refused at its first bytes', async () => {
    async function* endless() {
      const zeros = Buffer.alloc(64 * 1024);
      for (let sent = 0; sent < 40 * 1024 * 1024; sent += zeros.byteLength) yield zeros;
    }
    const error = await errorOf(uploadImage(pool, {}, endless()));
    expect([error.code, error.reason]).toEqual(['invalid_argument', 'NOT_AN_IMAGE']);
  });
});

/** A PNG whose header claims another size; the checksum of the header is right. */
function pngOfSize(png: Buffer, width: number, height: number): Buffer {
  const forged = Buffer.from(png);
  forged.writeUInt32BE(width, 16);
  forged.writeUInt32BE(height, 20);
  forged.writeUInt32BE(crc32(forged.subarray(12, 29)), 29);
  return forged;
}
