import { Fit, FlipDirection, type Operation } from '@imagemesh/api';
import { defaultLimits, pipelineSizes } from '@imagemesh/image';
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
  type Picture,
  pixelsOf,
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
