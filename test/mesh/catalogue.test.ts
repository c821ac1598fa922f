// Longer than most: every test needs the same mesh.
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  Format,
  Gravity,
  ImageService,
  type OperationSchema,
  type RenderResponse,
  WorkerKind,
} from '@imagemesh/api';
import { createGrpcClient, MeshError } from '@imagemesh/rpc';
import { plain, portrait, quadrants, startMesh, type TestMesh } from '@imagemesh/testkit';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorOf, pixelsOf } from './calls.ts';

let mesh: TestMesh;
let images: ReturnType<typeof connect>;

function connect() {
  return createGrpcClient(ImageService, mesh.gatewayAddress, { maxMessageBytes: 16 * 1024 * 1024 });
}

beforeAll(async () => {
  mesh = await startMesh({ replicas: { resize: 2, filter: 1 }, nats: false });
  images = connect();
});
afterAll(async () => {
  images?.close();
  await mesh?.stop();
});

type Pipeline = { operation: NonNullable<MessageInitShape<typeof OperationSchema>['operation']> }[];

const inline = (value: Uint8Array) => ({ source: { case: 'data' as const, value } });

async function upload(bytes: Uint8Array): Promise<string> {
  const reply = await fetch(`${mesh.gatewayUrl}/upload`, { method: 'POST', body: new Uint8Array(bytes) });
  return JSON.parse(await reply.text()).image_id;
}

/** Three frames, red, green and blue, of 40 × 20. */
async function moving(format: 'gif' | 'webp'): Promise<Buffer> {
  const frames = await Promise.all(
    ['#ff0000', '#00ff00', '#0000ff'].map((background) =>
      sharp({ create: { width: 40, height: 20, channels: 3, background } })
        .png()
        .toBuffer(),
    ),
  );
  const joined = sharp(frames, { join: { animated: true } });
  const timing = { delay: [50, 80, 110], loop: 2 };
  return (format === 'gif' ? joined.gif(timing) : joined.webp({ ...timing, lossless: true })).toBuffer();
}

describe('animations', () => {
  it.each(['gif', 'webp'] as const)('of %s keep every frame through both services', async (format) => {
    const { data, info } = await images.transform({
      source: inline(await moving(format)),
      operations: [
        { operation: { case: 'resize', value: { width: 20 } } },
        { operation: { case: 'invert', value: {} } },
        { operation: { case: 'rotate', value: { angle: 90 } } },
      ],
      output: { lossless: format === 'webp' },
    });
    expect(info).toMatchObject({ width: 10, height: 20, frames: 3 });
    const result = sharp(data, { animated: true });
    expect(await result.metadata()).toMatchObject({ delay: [50, 80, 110], loop: 2 });
    const pixels = await result.removeAlpha().raw().toBuffer();
    const frame = 10 * 20 * 3;
    expect([0, frame, 2 * frame].map((at) => [...pixels.subarray(at, at + 3)])).toEqual([
      [0, 255, 255],
      [255, 0, 255],
      [255, 255, 0],
    ]);
  });

  it('are never flattened in silence', async () => {
    const source = inline(await moving('gif'));
    const toJpeg = await errorOf(images.transform({ source, output: { format: Format.JPEG } }));
    expect(toJpeg.reason).toBe('ANIMATION_REFUSED');
    const trimmed = images.transform({ source, operations: [{ operation: { case: 'trim', value: {} } }] });
    expect((await errorOf(trimmed)).message).toContain('operations[0].trim');
    const second = { operation: { case: 'selectFrame' as const, value: { index: 1 } } };
    const { data } = await images.transform({ source, operations: [second], output: { format: Format.PNG } });
    expect((await pixelsOf(data)).at(5, 5).slice(0, 3)).toEqual([0, 255, 0]);
    const beyond = { operation: { case: 'selectFrame' as const, value: { index: 3 } } };
    expect((await errorOf(images.transform({ source, operations: [beyond] }))).reason).toBe(
      'OPERATION_OUT_OF_BOUNDS',
    );
  });
});

describe('a watermark', () => {
  it('is put where it is wanted, and must be an image of the caller', async () => {
    const imageId = await upload(await plain([255, 0, 0], { width: 10, height: 10 }));
    const source = inline(await plain([0, 0, 255], { width: 50, height: 40 }));
    const watermark = { imageId, gravity: Gravity.TOP_RIGHT, offsetX: 5, offsetY: 2 };
    const { data } = await images.transform({
      source,
      operations: [{ operation: { case: 'watermark', value: watermark } }],
      output: { format: Format.PNG },
    });
    const { at } = await pixelsOf(data);
    expect([at(35, 2), at(44, 11), at(34, 2), at(45, 2), at(35, 1)]).toEqual([
      [255, 0, 0],
      [255, 0, 0],
      [0, 0, 255],
      [0, 0, 255],
      [0, 0, 255],
    ]);
    const unknown = { imageId: '0'.repeat(64) };
    const error = await errorOf(
      images.transform({ source, operations: [{ operation: { case: 'watermark', value: unknown } }] }),
    );
    expect(error.reason).toBe('IMAGE_NOT_FOUND');
    expect(error.message).toContain('operations[0].watermark.image_id');
  });
});

describe('trim', () => {
  it('gives a size that later operations are checked against', async () => {
    const inner = await plain([10, 200, 30], { width: 30, height: 20 });
    const extend = { left: 10, top: 10, right: 10, bottom: 10, background: '#FFFFFF' };
    const steps: Pipeline = [
      { operation: { case: 'extend' as const, value: extend } },
      { operation: { case: 'trim' as const, value: {} } },
      { operation: { case: 'crop' as const, value: { left: 0, top: 0, width: 30, height: 20 } } },
    ];
    const { info } = await images.transform({ source: inline(inner), operations: steps });
    expect(info).toMatchObject({ width: 30, height: 20 });
    const tooWide = { operation: { case: 'crop' as const, value: { width: 31, height: 20 } } };
    const error = await errorOf(
      images.transform({ source: inline(inner), operations: [...steps.slice(0, 2), tooWide] }),
    );
    expect(error.reason).toBe('OPERATION_OUT_OF_BOUNDS');
  });
});

describe('output', () => {
  it('reports the quality that keeps to the bytes', async () => {
    const noise = { type: 'gaussian', mean: 128, sigma: 40 } as const;
    const photo = await sharp({ create: { width: 200, height: 150, channels: 3, background: '#000', noise } })
      .png()
      .toBuffer();
    const { data, report } = await images.transform({
      source: inline(photo),
      output: { format: Format.JPEG, targetBytes: 6000n },
    });
    expect(data.length).toBeLessThanOrEqual(6000);
    expect(report?.encoding?.quality).toBeGreaterThan(1);
    expect(report?.encoding?.attempts).toBeGreaterThan(1);
  });

  it('is never larger than in the format of the source', async () => {
    const flat = await plain([1, 2, 3], { width: 300, height: 300 });
    const accept = [Format.AVIF, Format.PNG];
    const { data } = await images.transform({
      source: inline(flat),
      output: { format: Format.AUTO, accept },
    });
    const png = await images.transform({ source: inline(flat), output: { format: Format.PNG } });
    expect(data.length).toBeLessThanOrEqual(png.data.length);
  });
});

describe('Render', () => {
  async function collect(messages: AsyncIterable<RenderResponse>) {
    const variants: { name: string; bytes: Buffer; stages: number }[] = [];
    for await (const { message } of messages) {
      if (message.case === 'header') {
        const { name, report } = message.value;
        variants.push({ name, bytes: Buffer.alloc(0), stages: report?.stages.length ?? 0 });
      } else if (message.case === 'chunk') {
        const last = variants.at(-1);
        if (last === undefined) throw new Error('a chunk before the first header');
        last.bytes = Buffer.concat([last.bytes, message.value]);
      }
    }
    return variants;
  }

  it('makes many variants of one decode, cheap ones first', async () => {
    const source = inline(await quadrants({ width: 400, height: 300 }));
    const resize = (width: number) => ({ operation: { case: 'resize' as const, value: { width } } });
    const variants = [
      {
        name: 'slow',
        operations: [{ operation: { case: 'bilateral' as const, value: {} } }],
        output: { format: Format.AVIF },
      },
      { name: 'small', operations: [resize(40)] },
      { operations: [resize(80), { operation: { case: 'blur' as const, value: {} } }] },
    ];
    const made = await collect(images.render({ source, variants }));
    expect(made.map(({ name }) => name).sort()).toEqual(['2', 'slow', 'small']);
    expect(made[0]?.name).toBe('small');
    const small = made.find(({ name }) => name === 'small');
    expect((await pixelsOf(small?.bytes ?? Buffer.alloc(0))).width).toBe(40);
    // The shared decode, then what is the variant's own.
    expect(made.map(({ stages }) => stages).sort()).toEqual([2, 2, 3]);
  });

  it('names the variant that is wrong', async () => {
    const source = inline(await plain([90, 90, 90], { width: 20, height: 20 }));
    const crop = { operation: { case: 'crop' as const, value: { width: 21, height: 1 } } };
    const wrong = collect(images.render({ source, variants: [{}, { operations: [crop] }] }));
    expect((await errorOf(wrong)).message).toContain('variants[1].operations[0].crop');
    const twice = collect(images.render({ source, variants: [{ name: 'a' }, { name: 'a' }] }));
    expect((await errorOf(twice)).message).toContain('variants[1].name');
  });

  it('stops when the caller leaves, and the mesh serves on', async () => {
    const source = inline(await quadrants({ width: 1500, height: 1500 }));
    const variants = Array.from({ length: 12 }, (_, at) => ({
      operations: [
        { operation: { case: 'bilateral' as const, value: { diameter: 15, sigmaColor: at + 1 } } },
      ],
    }));
    const leaving = new AbortController();
    const rendering = collect(images.render({ source, variants }, { signal: leaving.signal }));
    setTimeout(() => leaving.abort(), 300);
    expect(await rendering.catch((error) => error)).toBeInstanceOf(MeshError);
    const startedMs = performance.now();
    await images.transform({ source: inline(await plain([90, 90, 90], { width: 20, height: 20 })) });
    expect(performance.now() - startedMs).toBeLessThan(5000);
  });
});

describe('the catalogue', () => {
  it('describes every parameter with its range', async () => {
    const { operations, outputParameters } = await images.listOperations({});
    expect(operations.length).toBeGreaterThan(30);
    const blur = operations.find(({ name }) => name === 'blur');
    expect(blur).toMatchObject({
      options: { workers: [WorkerKind.FILTER] },
      parameters: [
        { name: 'size', type: 'int32', minimum: 1, maximum: 255, options: { unit: 'px', defaultValue: '5' } },
      ],
    });
    for (const { name, parameters, options } of operations) {
      expect(options?.summary, name).toMatch(/\.$/);
      for (const parameter of parameters)
        expect(parameter.options?.summary, `${name}.${parameter.name}`).toMatch(/\.$/);
    }
    expect(outputParameters.map(({ name }) => name)).toContain('target_bytes');
  });

  it('explains a transform without running it', async () => {
    const explained = await images.explainTransform({
      source: inline(await plain([90, 90, 90], { width: 100, height: 50 })),
      operations: [
        { operation: { case: 'blur', value: { size: 1 } } },
        { operation: { case: 'resize', value: { width: 10 } } },
      ],
    });
    expect(explained.stages).toMatchObject([
      { worker: WorkerKind.FILTER, operations: ['blur'], width: 100, height: 50 },
      { worker: WorkerKind.RESIZE, operations: ['resize'], width: 10, height: 5 },
    ]);
    expect(explained.notes.join(' ')).toContain('operations[0] (blur): changes nothing');
  });

  it('measures an image', async () => {
    const { info, analysis } = await images.analyzeImage({
      source: inline(await plain([200, 100, 50], { width: 64, height: 32 })),
    });
    expect(info).toMatchObject({ width: 64, height: 32, frames: 1 });
    expect(analysis).toMatchObject({
      averageColor: '#C86432',
      dominantColor: '#C86838',
      isOpaque: true,
      sharpness: 0,
    });
    expect(analysis?.histogram?.red[200]).toBe(64 * 32);
    expect(analysis?.blurhash).toMatch(/^.{28}$/);
    expect(analysis?.perceptualHash).toMatch(/^[0-9a-f]{16}$/);
    const animated = await images.analyzeImage({ source: inline(await moving('webp')) });
    expect(animated.analysis?.averageColor).toBe('#FF0000');
  });

  it('finds faces, redacts them and crops to them', async () => {
    const source = inline(await portrait({ width: 500, height: 300, format: 'jpeg' }));
    const { info, faces } = await images.detectFaces({ source });
    expect(info).toMatchObject({ width: 500, height: 300 });
    expect(faces).toHaveLength(1);
    const [{ left = 0, top = 0, width = 0, height = 0 } = {}] = faces;
    expect(Math.abs(left + width / 2 - 250)).toBeLessThan(10);
    const redacted = await images.transform({
      source,
      operations: [{ operation: { case: 'redactFaces', value: {} } }],
    });
    expect((await images.detectFaces({ source: inline(redacted.data) })).faces).toEqual([]);
    const cropped = await images.transform({
      source,
      operations: [
        { operation: { case: 'cropToFaces', value: { padding: 0 } } },
        { operation: { case: 'resize', value: { width: 50 } } },
      ],
    });
    expect(cropped.info).toMatchObject({ width: 50, height: Math.round((50 * height) / width) });
    expect(top).toBeGreaterThan(0);
  });

  it('looks for faces in the first frame of an animation, and refuses to crop its frames to them', async () => {
    const source = inline(await moving('webp'));
    expect((await images.detectFaces({ source })).faces).toEqual([]);
    const cropped = images.transform({
      source,
      operations: [{ operation: { case: 'cropToFaces', value: {} } }],
    });
    expect(await errorOf(cropped)).toMatchObject({ reason: 'ANIMATION_REFUSED' });
    const wrong = images.detectFaces({ source, search: { minSize: 1 } });
    expect(await errorOf(wrong)).toMatchObject({ reason: 'INVALID_REQUEST' });
  });
});
