import { ColorPolicy, Format, Gravity, ImageService, Kernel } from '@imagemesh/api';
import { createGrpcClient, createSessionPool, type SessionPool } from '@imagemesh/rpc';
import { plain, quadrants, startMesh, type TestMesh } from '@imagemesh/testkit';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorOf, pixelsOf, transformStream, uploadImage } from './calls.ts';

let mesh: TestMesh;
let pool: SessionPool;
let images: ReturnType<typeof connect>;

function connect() {
  return createGrpcClient(ImageService, mesh.gatewayAddress, { maxMessageBytes: 16 * 1024 * 1024 });
}

beforeAll(async () => {
  mesh = await startMesh({ replicas: { resize: 1, filter: 1 }, nats: false });
  pool = createSessionPool(mesh.gatewayAddress);
  images = connect();
});
afterAll(async () => {
  images?.close();
  await pool?.close();
  await mesh?.stop();
});

const delay = [40, 90, 140, 50, 60];

/** Frames of one colour each: red grows, green fades. */
async function moving(format: 'gif' | 'webp', { width = 60, height = 40 } = {}): Promise<Buffer> {
  const frames = await Promise.all(delay.map((_, at) => plain(colourOf(at), { width, height })));
  const joined = sharp(frames, { join: { animated: true } });
  const timing = { delay, loop: 3 };
  return (format === 'gif' ? joined.gif(timing) : joined.webp({ ...timing, lossless: true })).toBuffer();
}

function colourOf(at: number): [number, number, number] {
  return [50 * at, 200 - 50 * at, 100];
}

async function framesOf(bytes: Uint8Array) {
  const image = sharp(bytes, { animated: true });
  const { pages, delay, loop } = await image.metadata();
  const { data, info } = await image.removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const height = info.pageHeight ?? info.height;
  const at = (frame: number, x: number, y: number) => {
    const from = ((frame * height + y) * info.width + x) * 3;
    return [...data.subarray(from, from + 3)];
  };
  return { width: info.width, height, pages, delay, loop, at };
}

const byId = (value: string) => ({ source: { case: 'imageId' as const, value } });
const resize = (width: number) => ({ operation: { case: 'resize' as const, value: { width } } });
const blur = { operation: { case: 'blur' as const, value: {} } };

describe.each(['gif', 'webp'] as const)('a stored animation (%s)', (format) => {
  it('is described with its frames, and keeps them, their delays and plays through resize and blur', async () => {
    const { id, info } = await uploadImage(pool, {}, await moving(format));
    expect(info).toMatchObject({ width: 60, height: 40, frames: 5 });
    const output = { lossless: format === 'webp' };
    const { data, report } = await images.transform({
      source: byId(id),
      operations: [resize(30), blur],
      output,
    });
    expect(report?.stages.map(({ operations }) => operations)).toEqual([['resize'], ['blur']]);
    const result = await framesOf(data);
    expect(result).toMatchObject({ width: 30, height: 20, pages: 5, delay, loop: 3 });
    for (const at of delay.keys()) expect(result.at(at, 15, 10)).toEqual(colourOf(at));
  });

  it('streamed in, has a watermark on every frame', async () => {
    const { id } = await uploadImage(pool, {}, await plain([255, 255, 255], { width: 6, height: 4 }));
    const value = { imageId: id, gravity: Gravity.TOP_LEFT, offsetX: 2, offsetY: 1 };
    const spec = {
      operations: [{ operation: { case: 'watermark' as const, value } }],
      output: { lossless: format === 'webp' },
    };
    const { bytes, header } = await transformStream(pool, spec, await moving(format));
    expect(header.info?.frames).toBe(5);
    const { at } = await framesOf(bytes);
    for (const frame of delay.keys()) {
      expect([at(frame, 2, 1), at(frame, 7, 4), at(frame, 1, 1), at(frame, 8, 4)]).toEqual([
        [255, 255, 255],
        [255, 255, 255],
        colourOf(frame),
        colourOf(frame),
      ]);
    }
  });

  it('is no watermark itself', async () => {
    const { id } = await uploadImage(pool, {}, await moving(format));
    const error = await errorOf(
      images.transform({
        source: { source: { case: 'data', value: await plain([1, 2, 3]) } },
        operations: [blur, { operation: { case: 'watermark', value: { imageId: id } } }],
      }),
    );
    expect(error.reason).toBe('ANIMATION_REFUSED');
    expect(error.violations[0]?.field).toBe('operations[1].watermark.image_id');
  });

  it('is refused where all frames together would be too large, before it is decoded', async () => {
    const { id } = await uploadImage(pool, {}, await moving(format));
    const error = await errorOf(images.transform({ source: byId(id), operations: [blur, resize(4000)] }));
    expect(error.reason).toBe('OUTPUT_TOO_LARGE');
    expect(error.violations[0]?.field).toBe('operations[1].resize');
  });
});

describe('TIFF', () => {
  it('goes in and out, through both services, with 16 bits where nothing reduces them', async () => {
    const deep = await sharp(await quadrants({ width: 40, height: 20 }))
      .toColourspace('rgb16')
      .tiff({ compression: 'lzw' })
      .toBuffer();
    const { id, info } = await uploadImage(pool, {}, deep);
    expect(info).toMatchObject({ format: Format.TIFF, width: 40, height: 20, bitDepth: 16, frames: 1 });
    const kept = await images.transform({
      source: byId(id),
      operations: [{ operation: { case: 'flip', value: {} } }],
    });
    expect(kept.info).toMatchObject({ format: Format.TIFF, bitDepth: 16 });
    // Without the ringing of a longer kernel.
    const nearest = {
      operation: { case: 'resize' as const, value: { width: 20, kernel: Kernel.NEAREST } },
    };
    const filtered = await images.transform({ source: byId(id), operations: [nearest, blur] });
    expect(filtered.info).toMatchObject({ format: Format.TIFF, width: 20, height: 10, bitDepth: 8 });
    const { at } = await pixelsOf(filtered.data);
    expect([at(3, 2), at(16, 7)]).toEqual([
      [255, 0, 0],
      [255, 255, 0],
    ]);
  });

  it('of several pages is refused', async () => {
    const frames = await Promise.all([1, 2].map((at) => plain(colourOf(at), { width: 20, height: 20 })));
    const pages = await sharp(frames, { join: { animated: true } })
      .tiff({ compression: 'deflate' })
      .toBuffer();
    expect((await sharp(pages).metadata()).pages).toBe(2);
    const error = await errorOf(images.transform({ source: { source: { case: 'data', value: pages } } }));
    expect(error.reason).toBe('ANIMATION_REFUSED');
    expect(error.message).toContain('pages');
  });
});

describe('a colour profile', () => {
  it('stays with its numbers through both services where that is wanted, else it is sRGB', async () => {
    const wide = await sharp(await plain([250, 20, 20], { width: 32, height: 32 }))
      .withIccProfile('p3')
      .png()
      .toBuffer();
    const { data: numbers } = await sharp(wide, { ignoreIcc: true })
      .raw()
      .toBuffer({ resolveWithObject: true });
    const source = { source: { case: 'data' as const, value: wide } };
    const operations = [resize(16), { operation: { case: 'medianBlur' as const, value: {} } }];
    const kept = await images.transform({ source, operations, output: { color: ColorPolicy.KEEP } });
    expect((await sharp(kept.data).metadata()).hasProfile).toBe(true);
    const { at } = await rawOf(kept.data);
    expect(at(8, 8)).toEqual([...numbers.subarray(0, 3)]);
    const converted = await images.transform({ source, operations });
    expect((await sharp(converted.data).metadata()).hasProfile).toBe(false);
    // There and back, each rounded.
    const given = [250, 20, 20];
    const distances = (await rawOf(converted.data))
      .at(8, 8)
      .map((value, at) => Math.abs(value - (given[at] ?? 0)));
    expect(Math.max(...distances)).toBeLessThanOrEqual(1);
    expect([...numbers.subarray(0, 3)]).not.toEqual(given);
  });
});

/** Pixels without regard to a profile. */
async function rawOf(bytes: Uint8Array) {
  return pixelsOf(await sharp(bytes, { ignoreIcc: true }).png().toBuffer());
}
