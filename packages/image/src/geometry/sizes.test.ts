import { create } from '@bufbuild/protobuf';
import { Fit, type Operation, OperationSchema, ResizeSchema } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import fc from 'fast-check';
import sharp, { type Sharp } from 'sharp';
import { describe, expect, it } from 'vitest';
import { operationName, pipelineSizes, planResize, resultSize, rotatedSize } from '../index.ts';
import type { Size } from '../info.ts';
import { defaultLimits } from '../limits.ts';

type Init = NonNullable<Parameters<typeof create<typeof OperationSchema>>[1]>;
const operation = (init: Init['operation']): Operation =>
  create(OperationSchema, { operation: init } as Init);
const side = fc.integer({ min: 1, max: 120 });

function raw({ width, height }: Size) {
  return sharp(Buffer.alloc(width * height), { raw: { width, height, channels: 1 } });
}

async function sizeOf(image: Sharp): Promise<Size> {
  const { info } = await image.raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height };
}

/** Whether a side lies halfway between two pixels: there we round up, and sharp either way. */
function hasHalf({ width, height }: Size, toWidth: number, toHeight: number): boolean {
  const isHalf = (numerator: number, denominator: number) =>
    (2 * numerator) % (2 * denominator) === denominator;
  return isHalf(height * toWidth, width) || isHalf(width * toHeight, height);
}

describe('predicted sizes are those that sharp makes', () => {
  const fits = [
    [Fit.FILL, 'fill'],
    [Fit.COVER, 'cover'],
    [Fit.CONTAIN, 'contain'],
    [Fit.INSIDE, 'inside'],
    [Fit.OUTSIDE, 'outside'],
  ] as const;
  it.each(fits)('fit %i (%s)', async (fit, name) => {
    await fc.assert(
      fc.asyncProperty(side, side, side, side, async (width, height, toWidth, toHeight) => {
        const resize = operation({ case: 'resize', value: { width: toWidth, height: toHeight, fit } });
        const real = await sizeOf(
          raw({ width, height }).resize({ width: toWidth, height: toHeight, fit: name }),
        );
        const predicted = resultSize({ width, height }, resize, defaultLimits);
        if (!hasHalf({ width, height }, toWidth, toHeight)) expect(predicted).toEqual(real);
      }),
      { numRuns: 150 },
    );
  });

  it('one side only', async () => {
    await fc.assert(
      fc.asyncProperty(side, side, side, fc.boolean(), async (width, height, to, isWidth) => {
        const value = isWidth ? { width: to } : { height: to };
        const real = await sizeOf(raw({ width, height }).resize(value));
        const predicted = resultSize({ width, height }, operation({ case: 'resize', value }), defaultLimits);
        if (!hasHalf({ width, height }, to, to)) expect(predicted).toEqual(real);
      }),
      { numRuns: 150 },
    );
  });

  it('turns by any angle', async () => {
    const angle = fc.oneof(
      fc.integer({ min: -360, max: 360 }),
      fc.double({ min: -360, max: 360, noNaN: true }),
    );
    await fc.assert(
      fc.asyncProperty(side, side, angle, async (width, height, degrees) => {
        const real = await sizeOf(raw({ width, height }).rotate(degrees));
        expect(rotatedSize({ width, height }, degrees)).toEqual(real);
      }),
      { numRuns: 400 },
    );
  });
});

describe('errors name the field and the limit', () => {
  const size = { width: 100, height: 50 };
  it.each<[string, Init['operation'], string, string]>([
    [
      'crop beyond the right',
      { case: 'crop', value: { left: 60, width: 41, height: 1 } },
      'OPERATION_OUT_OF_BOUNDS',
      'operations[1].crop.width',
    ],
    [
      'crop that begins outside',
      { case: 'crop', value: { top: 50, width: 1, height: 1 } },
      'OPERATION_OUT_OF_BOUNDS',
      'operations[1].crop.top',
    ],
    ['resize without sides', { case: 'resize', value: {} }, 'INVALID_REQUEST', 'operations[1].resize'],
    ['resize to 0', { case: 'resize', value: { width: 0 } }, 'INVALID_REQUEST', 'operations[1].resize.width'],
    [
      'resize to too much',
      { case: 'resize', value: { width: 65535 } },
      'OUTPUT_TOO_LARGE',
      'operations[1].resize',
    ],
    [
      'a cover that scales to too much',
      { case: 'resize', value: { width: 1, height: 60000, fit: Fit.COVER } },
      'OUTPUT_TOO_LARGE',
      'operations[1].resize',
    ],
    ['nothing', { case: undefined }, 'INVALID_REQUEST', 'operations[1]'],
  ])('%s', (_, init, reason, field) => {
    try {
      pipelineSizes(size, [operation({ case: 'flip', value: {} }), operation(init)], defaultLimits);
      throw new Error('it did not fail');
    } catch (error) {
      if (!(error instanceof MeshError)) throw error;
      expect(error.reason).toBe(reason);
      expect(error.violations.map((violation) => violation.field)).toEqual([field]);
    }
  });

  it('limits all results of a pipeline together', () => {
    const grow = operation({ case: 'resize', value: { width: 7000, height: 7000 } });
    expect(() => pipelineSizes(size, Array(4).fill(grow), defaultLimits)).not.toThrow();
    expect(() => pipelineSizes(size, Array(5).fill(grow), defaultLimits)).toThrow(/in a pipeline/);
    expect(() =>
      pipelineSizes(size, Array(33).fill(operation({ case: 'flip', value: {} })), defaultLimits),
    ).toThrow(/at most 32/);
  });
});

it('names operations as the proto does', () => {
  expect(operationName(operation({ case: 'gaussianBlur', value: {} }))).toBe('gaussian_blur');
});

it('hits the given side exactly whatever the ratio', () => {
  const anySide = fc.integer({ min: 1, max: 65535 });
  fc.assert(
    fc.property(anySide, anySide, anySide, (width, height, to) => {
      const resize = create(ResizeSchema, { width: to, height: to, fit: Fit.INSIDE });
      const { scaled } = planResize({ width, height }, resize);
      expect(Math.max(scaled.width, scaled.height)).toBe(to);
    }),
  );
});
