import { Fit, FlipDirection, Format, type Operation } from '@imagemesh/api';
import { defaultLimits, pipelineSizes, type Source } from '@imagemesh/image';
import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import {
  applyExactly,
  bytesOf,
  chequered,
  crop,
  encodePng,
  flip,
  output,
  type Picture,
  pixelsOf,
  png,
  quadrants,
  resize,
  rotate,
  run,
  sourceOf,
  workOf,
} from './test-images.ts';

const { HORIZONTAL, VERTICAL, BOTH } = FlipDirection;

async function check(picture: Picture, operations: readonly Operation[]): Promise<void> {
  const result = await pixelsOf(await run(workOf(sourceOf(await encodePng(picture)), operations)));
  const expected = operations.reduce(applyExactly, picture);
  expect({ width: result.width, height: result.height }).toEqual({
    width: expected.width,
    height: expected.height,
  });
  expect(result.data.equals(bytesOf(expected))).toBe(true);
}

describe('exact operations', () => {
  const picture = chequered({ width: 23, height: 17 });
  it.each<[string, readonly Operation[]]>([
    ['rotate-90 then crop', [rotate(90), crop(2, 3, 9, 11)]],
    ['crop then rotate-90', [crop(2, 3, 9, 11), rotate(90)]],
    ['flip then rotate', [flip(HORIZONTAL), rotate(90)]],
    ['rotate then flip', [rotate(90), flip(HORIZONTAL)]],
    [
      'crop, flip, crop, rotate, crop',
      [crop(1, 2, 20, 14), flip(VERTICAL), crop(3, 1, 15, 12), rotate(270), crop(0, 4, 7, 9)],
    ],
    ['rotate by -90, 450 and 180', [rotate(-90), rotate(360), rotate(180), flip(BOTH)]],
  ])('%s are done in the order given', async (_, operations) => {
    await check(picture, operations);
  });

  it('does any sequence of crops, flips and quarter turns pixel by pixel', async () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('crop' as const),
        a: fc.double({ min: 0, max: 0.99, noNaN: true }),
        b: fc.double({ min: 0, max: 0.99, noNaN: true }),
      }),
      fc.record({
        kind: fc.constant('flip' as const),
        direction: fc.constantFrom(HORIZONTAL, VERTICAL, BOTH),
      }),
      fc.record({
        kind: fc.constant('rotate' as const),
        angle: fc.constantFrom(-270, -180, -90, 0, 90, 180, 270, 360),
      }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 24 }),
        fc.integer({ min: 1, max: 24 }),
        fc.array(step, { maxLength: 6 }),
        async (width, height, steps) => {
          const operations: Operation[] = [];
          let size = { width, height };
          for (const s of steps) {
            const op =
              s.kind === 'flip'
                ? flip(s.direction)
                : s.kind === 'rotate'
                  ? rotate(s.angle)
                  : cropWithin(size, s.a, s.b);
            size = pipelineSizes(size, [op], defaultLimits)[1] ?? size;
            operations.push(op);
          }
          await check(chequered({ width, height }), operations);
        },
      ),
      { numRuns: 60 },
    );
  });
});

function cropWithin({ width, height }: { width: number; height: number }, a: number, b: number): Operation {
  const left = Math.floor(width * a * 0.5);
  const top = Math.floor(height * b * 0.5);
  return crop(
    left,
    top,
    Math.max(1, Math.floor((width - left) * (1 - b * 0.7))),
    Math.max(1, Math.floor((height - top) * (1 - a * 0.7))),
  );
}

describe('orientation', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'makes EXIF orientation %i upright before the first operation',
    async (orientation) => {
      const upright = quadrants({ width: 32, height: 16 });
      const stored = await storedAs(upright, orientation);
      for (const operations of [
        [],
        [crop(0, 0, 16, 8)],
        [resize({ width: 16 })],
        [crop(16, 0, 16, 16), rotate(90)],
      ]) {
        const result = await pixelsOf(await run(workOf(sourceOf(stored), operations)));
        const reference = await pixelsOf(await run(workOf(sourceOf(await encodePng(upright)), operations)));
        expect([result.width, result.height]).toEqual([reference.width, reference.height]);
        // JPEG at quality 100: small differences, but quadrants in their places.
        expect(largestDifference(result.data, reference.data, 0.9)).toBeLessThan(40);
      }
    },
  );
});

/** A JPEG whose pixels lie as that orientation says. */
async function storedAs(picture: Picture, orientation: number): Promise<Buffer> {
  // The inverse of what makes it upright, as the model's operations.
  const inverse: Record<number, readonly Operation[]> = {
    1: [],
    2: [flip(HORIZONTAL)],
    3: [rotate(180)],
    4: [flip(VERTICAL)],
    5: [flip(HORIZONTAL), rotate(270)],
    6: [rotate(270)],
    7: [flip(HORIZONTAL), rotate(90)],
    8: [rotate(90)],
  };
  const { width, height, at } = (inverse[orientation] ?? []).reduce(applyExactly, picture);
  return sharp(bytesOf({ width, height, at }), { raw: { width, height, channels: 3 } })
    .withMetadata({ orientation })
    .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
    .toBuffer();
}

describe('scaling among other operations', () => {
  const sequences: [string, readonly Operation[]][] = [
    ['crop then resize', [crop(10, 5, 60, 40), resize({ width: 30 })]],
    ['resize then crop', [resize({ width: 50 }), crop(10, 5, 20, 20)]],
    ['rotate then resize', [rotate(90), resize({ width: 40, height: 60 })]],
    ['resize then rotate then crop', [resize({ width: 60, height: 33 }), rotate(90), crop(3, 7, 20, 41)]],
    [
      'crop, resize, flip, crop, rotate, crop',
      [
        crop(5, 5, 80, 50),
        resize({ width: 64 }),
        flip(HORIZONTAL),
        crop(4, 2, 40, 30),
        rotate(270),
        crop(1, 2, 20, 30),
      ],
    ],
    ['resize twice', [resize({ width: 40 }), resize({ width: 90, height: 20 })]],
    ['cover, then rotate', [resize({ width: 40, height: 40, fit: Fit.COVER }), rotate(90)]],
    [
      'rotate, then contain, then crop',
      [rotate(90), resize({ width: 50, height: 50, fit: Fit.CONTAIN }), crop(0, 0, 30, 40)],
    ],
    [
      'turn by an angle, then crop, then resize',
      [rotate(30, '#336699'), crop(10, 10, 60, 50), resize({ height: 25 })],
    ],
    ['resize, then turn by an angle', [resize({ width: 50 }), rotate(-12.5)]],
  ];
  it.each(sequences)('%s: equals each operation on its own', async (_, operations) => {
    const picture = smooth({ width: 96, height: 64 });
    const together = await run(workOf(sourceOf(await encodePng(picture)), operations));
    let bytes: Uint8Array = await encodePng(picture);
    for (const step of operations) bytes = (await run(workOf(sourceOf(bytes), [step]))).bytes;
    const result = await pixelsOf(together);
    const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
    expect([result.width, result.height, result.channels]).toEqual([info.width, info.height, info.channels]);
    expect(largestDifference(result.data, data)).toBeLessThanOrEqual(2);
  });
});

describe('what is left over', () => {
  const clear = () =>
    sharp({ create: { width: 40, height: 20, channels: 4, background: { r: 255, g: 0, b: 0, alpha: 0 } } });
  const red = () => sharp({ create: { width: 40, height: 20, channels: 3, background: '#FF0000' } });
  const contain = [resize({ width: 40, height: 40, fit: Fit.CONTAIN })];
  const corner = async (bytes: Uint8Array, operations: readonly Operation[], to = png) => {
    const { data, channels } = await pixelsOf(await run(workOf(sourceOf(bytes), operations, to)));
    return [...data.subarray(0, channels)];
  };
  const jpeg = output({ format: Format.JPEG, quality: 100, background: '#00FF00' });

  it('is black where the image has no alpha, clear where it has, the background in a JPEG', async () => {
    expect(await corner(await red().png().toBuffer(), contain)).toEqual([0, 0, 0]);
    expect(await corner(await clear().png().toBuffer(), contain)).toEqual([0, 0, 0, 0]);
    const [r = 0, g = 0, b = 0] = await corner(await clear().png().toBuffer(), contain, jpeg);
    expect([r < 5, g > 250, b < 5]).toEqual([true, true, true]);
  });

  it('is the colour asked for in the corners of a turn, also on grey, also half clear', async () => {
    const turn = (background?: string) => [rotate(45, background)];
    expect(await corner(await red().png().toBuffer(), turn())).toEqual([0, 0, 0]);
    expect(await corner(await red().png().toBuffer(), turn('#123456'))).toEqual([18, 52, 86]);
    expect(await corner(await red().png().toBuffer(), turn('#12345600'))).toHaveLength(4);
    const grey = await red().greyscale().toColourspace('b-w').png().toBuffer();
    expect(await corner(grey, turn('#123456'))).toEqual([18, 52, 86]);
    const [r = 0, g = 0, b = 0] = await corner(await red().png().toBuffer(), turn('#00000000'), jpeg);
    expect([r < 5, g > 250, b < 5]).toEqual([true, true, true]);
  });
});

describe('depth and colour', () => {
  it('keeps 16 bits to a PNG and between stages, through several passes', async () => {
    const deep = await sharp(await encodePng(smooth({ width: 64, height: 48 })))
      .toColourspace('rgb16')
      .png()
      .toBuffer();
    const operations = [resize({ width: 32 }), resize({ width: 60, height: 20 }), rotate(90)];
    const inPng = await run(workOf(sourceOf(deep), operations));
    expect(inPng.content).toMatchObject({ value: { bitDepth: 16, width: 20, height: 60 } });
    const between = await run(workOf(sourceOf(deep), operations, 'pixels'));
    expect(between.content).toMatchObject({
      case: 'pixels',
      value: { bitDepth: 16, width: 20, height: 60, channels: 3 },
    });
    expect(between.bytes.length).toBe(20 * 60 * 3 * 2);
    const inJpeg = await run(workOf(sourceOf(deep), operations, output({ format: Format.JPEG })));
    expect(inJpeg.content).toMatchObject({ value: { bitDepth: 8 } });
  });

  it('goes on from the pixels of another stage as if it were one', async () => {
    const picture = smooth({ width: 64, height: 48 });
    const source = sourceOf(await encodePng(picture));
    const first = await run(workOf(source, [resize({ width: 40 })], 'pixels'));
    if (first.content.case !== 'pixels') throw new Error('no pixels');
    const stage: Source = { kind: 'pixels', bytes: first.bytes, content: first.content.value };
    const second = await run(workOf(stage, [crop(3, 4, 20, 10), flip(HORIZONTAL)]));
    const together = await run(workOf(source, [resize({ width: 40 }), crop(3, 4, 20, 10), flip(HORIZONTAL)]));
    expect((await pixelsOf(second)).data.equals((await pixelsOf(together)).data)).toBe(true);
  });

  it('keeps grey grey and clear pixels clear through several passes', async () => {
    const grey = await sharp(await encodePng(smooth({ width: 64, height: 48 })))
      .greyscale()
      .toColourspace('b-w')
      .png()
      .toBuffer();
    const operations = [resize({ width: 32 }), resize({ width: 50 })];
    expect((await run(workOf(sourceOf(grey), operations))).content).toMatchObject({ value: { channels: 1 } });
    const withAlpha = await sharp(grey).ensureAlpha(0.5).toColourspace('b-w').png().toBuffer();
    expect((await run(workOf(sourceOf(withAlpha), operations))).content).toMatchObject({
      value: { hasAlpha: true },
    });
  });
});

it('hits the predicted size whatever the decoder shrinks first', async () => {
  const photo = await sharp(await encodePng(smooth({ width: 301, height: 199 })))
    .jpeg()
    .toBuffer();
  const sideways = await sharp(photo).withMetadata({ orientation: 6 }).toBuffer();
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 310 }),
      fc.boolean(),
      fc.constantFrom(photo, sideways),
      async (to, isWidth, bytes) => {
        const work = workOf(sourceOf(bytes), [resize(isWidth ? { width: to } : { height: to })]);
        const { width, height } = await pixelsOf(await run(work));
        expect({ width, height }).toEqual(work.sizes.at(-1));
      },
    ),
    { numRuns: 60 },
  );
});

/** Gradients and a few edges: what scaling is for. */
function smooth(size: { width: number; height: number }): Picture {
  const at = (x: number, y: number) => [
    Math.round((x * 255) / size.width),
    Math.round((y * 255) / size.height),
    x > size.width / 3 && y > size.height / 2 ? 220 : 40,
  ];
  return { ...size, at };
}

/** The largest difference of a sample; `share` leaves out that part of the largest ones. */
function largestDifference(a: Buffer, b: Buffer, share = 1): number {
  const differences = Array.from(a, (value, index) => Math.abs(value - (b[index] ?? 0))).sort(
    (x, y) => x - y,
  );
  return differences[Math.floor((differences.length - 1) * share)] ?? 0;
}
