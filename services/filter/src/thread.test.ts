import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  ColorPolicy,
  Format,
  MetadataPolicy,
  type Operation,
  OperationSchema,
  OutputSchema,
  PixelContentSchema,
} from '@imagemesh/api';
import {
  defaultLimits,
  type Pixels,
  pipelineSizes,
  probeWhole,
  type Source,
  sourceSize,
} from '@imagemesh/image';
import { configureSharp, decode, encode } from '@imagemesh/image/codec';
import { createLogger } from '@imagemesh/observe';
import { MeshError } from '@imagemesh/rpc';
import type { Work, WorkCall, WorkResult } from '@imagemesh/worker';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { format } from './format.ts';
import { process } from './process.ts';
import { createThreadPool, type ThreadPool } from './thread-pool.ts';

type OperationInit = NonNullable<MessageInitShape<typeof OperationSchema>['operation']>;

const codecOptions = { limits: defaultLimits, timeoutMs: 10_000 };
const noMetadata = { exif: new Uint8Array(0), xmp: new Uint8Array(0), iptc: new Uint8Array(0) };
const asPixels: WorkResult = { kind: 'pixels', metadata: MetadataPolicy.STRIP };
const asPng: WorkResult = { kind: 'encoded', output: create(OutputSchema, { format: Format.PNG }) };

let pool: ThreadPool;
const replaced: string[] = [];

beforeAll(async () => {
  configureSharp();
  pool = createThreadPool({ threads: 1, onReplaced: (why) => replaced.push(why) });
  await pool.ready();
});
afterAll(() => pool.close());

describe('a call', () => {
  it('decodes, filters and encodes', async () => {
    const image = square(64);
    const { bytes, content } = await run(await png(image), [{ case: 'blur', value: {} }], asPng);
    expect(content).toMatchObject({
      case: 'encoded',
      value: { format: Format.PNG, width: 64, height: 64, channels: 3 },
    });
    const { data } = await decodePng(bytes);
    // Far inside, far outside, and on the border of the square: 2 of 5 columns are lit.
    expect(at(data, 64, 32, 32)).toEqual([250, 100, 50]);
    expect(at(data, 64, 2, 2)).toEqual([0, 0, 0]);
    expect(at(data, 64, 15, 32)).toEqual([100, 40, 20]);
  });

  it('takes pixels and gives pixels', async () => {
    const { width, height, channels, data } = square(32);
    const source: Source = {
      kind: 'pixels',
      bytes: Uint8Array.from(data),
      content: create(PixelContentSchema, { width, height, channels, bitDepth: 8 }),
    };
    const { bytes, content } = await run(source, [{ case: 'grayscale', value: {} }], asPixels);
    expect(content).toMatchObject({
      case: 'pixels',
      value: { $typeName: 'imagemesh.v1.PixelContent', width: 32, height: 32, channels: 1, bitDepth: 8 },
    });
    expect(bytes).toHaveLength(32 * 32);
    expect(new Set(bytes)).toEqual(new Set([0, Math.round(0.299 * 250 + 0.587 * 100 + 0.114 * 50)]));
  });

  it('reduces 16 bits to the upper 8, of files and of pixels', async () => {
    const width = 16;
    const samples = Uint16Array.from({ length: width * width * 3 }, (_, index) => (index * 2657) % 65536);
    const data = new Uint8Array(samples.buffer);
    const expected = Uint8Array.from(samples, (sample) => sample >> 8);
    const content = create(PixelContentSchema, { width, height: width, channels: 3, bitDepth: 16 });
    const ofPixels = await run({ kind: 'pixels', bytes: data.slice(), content }, [], asPixels);
    expect(ofPixels.bytes).toEqual(expected);
    const ofFile = await run(
      await png({ data, width, height: width, channels: 3, bitDepth: 16 }),
      [],
      asPixels,
    );
    expect(ofFile.bytes).toEqual(expected);
  });

  it('does leading crops on the way in', async () => {
    const image = square(64);
    const crops: OperationInit[] = [
      { case: 'crop', value: { left: 10, top: 4, width: 40, height: 50 } },
      { case: 'crop', value: { left: 5, top: 11, width: 20, height: 7 } },
    ];
    const { bytes, content } = await run(await png(image), [...crops, { case: 'flip', value: {} }], asPixels);
    expect(content.value).toMatchObject({ width: 20, height: 7 });
    for (let y = 0; y < 7; y++) {
      for (let x = 0; x < 20; x++)
        expect(at(bytes, 20, x, y)).toEqual(at(image.data, 64, 15 + 19 - x, 15 + y));
    }
  });

  it('turns photographs upright before the first operation', async () => {
    const { data } = square(16);
    const tall: Pixels = { data: data.slice(0, 16 * 8 * 3), width: 16, height: 8, channels: 3, bitDepth: 8 };
    const exif = Uint8Array.from([
      ...[0x49, 0x49, 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0],
    ]);
    const output = create(OutputSchema, { format: Format.JPEG, metadata: MetadataPolicy.KEEP });
    const { bytes } = await encode(tall, output, { ...noMetadata, exif }, codecOptions);
    const header = probeWhole(bytes);
    expect(header.orientation).toBe(6);
    const { content } = await run(
      { kind: 'encoded', bytes, header },
      [{ case: 'blur', value: {} }],
      asPixels,
    );
    expect(content.value).toMatchObject({ width: 8, height: 16 });
  });

  it('refuses a damaged image without losing the thread', async () => {
    const source = await png(square(64));
    const bytes = Uint8Array.from(source.bytes.subarray(0, 100));
    await expect(run({ ...source, bytes }, [], asPixels)).rejects.toMatchObject({ reason: 'DAMAGED_IMAGE' });
    expect(replaced).toEqual([]);
  });

  it('leaves the event loop free', async () => {
    const source = await png(square(1500));
    let ticks = 0;
    const timer = setInterval(() => {
      ticks += 1;
    }, 5);
    const start = performance.now();
    await run(source, [{ case: 'medianBlur', value: { size: 7 } }], asPixels);
    clearInterval(timer);
    expect(ticks).toBeGreaterThan((performance.now() - start) / 50);
  });
});

describe('a call that is given up', () => {
  it('ends before its next operation and keeps the thread', async () => {
    replaced.length = 0;
    // Some 30 ms each: a second in all.
    const medians: OperationInit[] = Array.from({ length: 32 }, () => ({
      case: 'medianBlur',
      value: { size: 7 },
    }));
    const call = new AbortController();
    const running = run(await png(square(1000)), medians, asPixels, call.signal);
    setTimeout(() => call.abort(new MeshError('CANCELLED', 'gone')), 60);
    await expect(running).rejects.toMatchObject({ reason: 'CANCELLED' });
    const { bytes } = await run(await png(square(8)), [], asPixels);
    expect(bytes).toHaveLength(8 * 8 * 3);
    expect(replaced).toEqual([]);
  });

  it('is ended inside an operation that takes too long, and the next call works', async () => {
    replaced.length = 0;
    const call = new AbortController();
    const slow: OperationInit = { case: 'gaussianBlur', value: { size: 255 } };
    const running = run(await png(square(1500)), [slow], asPixels, call.signal);
    setTimeout(() => call.abort(new MeshError('DEADLINE_EXCEEDED', 'late')), 100);
    await expect(running).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
    expect(replaced).toEqual(['overrun']);
    const { bytes } = await run(await png(square(8)), [], asPixels);
    expect(bytes).toHaveLength(8 * 8 * 3);
  });

  it('may be encoding: the thread ends only once the encoder has let go of its heap', async () => {
    replaced.length = 0;
    const { data, ...shape } = square(1200);
    const noise: Pixels = {
      ...shape,
      data: data.map((_, index) => (Math.imul(index, 2654435761) >>> 24) & 0xff),
    };
    const output = create(OutputSchema, { format: Format.AVIF, effort: 9 });
    const blur: OperationInit = { case: 'blur', value: { size: 3 } };
    const call = new AbortController();
    const running = run(await png(noise), [blur], { kind: 'encoded', output }, call.signal, () => {
      setTimeout(() => call.abort(new MeshError('CANCELLED', 'gone')), 200);
    });
    await expect(running).rejects.toMatchObject({ reason: 'CANCELLED' });
    expect(replaced).toEqual(['overrun']);
    const { bytes } = await run(await png(square(8)), [], asPixels);
    expect(bytes).toHaveLength(8 * 8 * 3);
  });
});

async function run(
  source: Source,
  steps: OperationInit[],
  result: WorkResult,
  signal = new AbortController().signal,
  onProcessed = () => {},
) {
  const operations: Operation[] = steps.map((operation) => create(OperationSchema, { operation }));
  const sizes = pipelineSizes(sourceSize(source), operations, defaultLimits);
  const work: Work = { source, operations, sizes, color: ColorPolicy.SRGB, result };
  const log = createLogger({ name: 'test', level: 'silent' });
  const loadImage = () => Promise.reject(new Error('no store here'));
  const call: WorkCall = {
    requestId: 'r',
    signal,
    remainingMs: () => 10_000,
    limits: defaultLimits,
    log,
    loadImage,
  };
  const picture = await process(pool, work, call);
  onProcessed();
  return format(picture, work, call);
}

async function png(pixels: Pixels): Promise<Extract<Source, { kind: 'encoded' }>> {
  const output = create(OutputSchema, { format: Format.PNG, effort: 1 });
  const { bytes } = await encode(pixels, output, noMetadata, codecOptions);
  return { kind: 'encoded', bytes, header: probeWhole(bytes) };
}

async function decodePng(bytes: Uint8Array): Promise<Pixels> {
  return decode({ kind: 'encoded', bytes, header: probeWhole(bytes) }, {}, codecOptions);
}

/** A square of one colour, a quarter of the side in from each border, on black. */
function square(side: number): Pixels {
  const data = new Uint8Array(side * side * 3);
  for (let y = side / 4; y < (side * 3) / 4; y++) {
    for (let x = side / 4; x < (side * 3) / 4; x++) data.set([250, 100, 50], (y * side + x) * 3);
  }
  return { data, width: side, height: side, channels: 3, bitDepth: 8 };
}

function at(data: Uint8Array, width: number, x: number, y: number): number[] {
  return [...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)];
}
