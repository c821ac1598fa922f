/** The laws of places and sizes, for any numbers. */
import { create } from '@bufbuild/protobuf';
import { CropSchema, ExtendSchema, Fit, Gravity, OperationSchema, ResizeSchema } from '@imagemesh/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultLimits } from '../limits.ts';
import { cropRect, extendSides, perspectiveSize, pipelineSizes, planFrames, planResize } from './index.ts';

const side = fc.integer({ min: 1, max: 4000 });
const size = fc.record({ width: side, height: side });
const gravity = fc.constantFrom(
  Gravity.CENTER,
  Gravity.TOP,
  Gravity.RIGHT,
  Gravity.BOTTOM_LEFT,
  Gravity.TOP_LEFT,
);
const fits = [Fit.FILL, Fit.COVER, Fit.CONTAIN, Fit.INSIDE, Fit.OUTSIDE];

describe('resize', () => {
  it('without enlargement is never larger than the image, but for what contain fills', () => {
    fc.assert(
      fc.property(size, size, fc.constantFrom(...fits), (image, box, fit) => {
        const { scaled, result } = planResize(
          image,
          create(ResizeSchema, { ...box, fit, withoutEnlargement: true }),
        );
        expect(scaled.width).toBeLessThanOrEqual(image.width);
        expect(scaled.height).toBeLessThanOrEqual(image.height);
        if (fit === Fit.CONTAIN) expect(result).toEqual({ width: box.width, height: box.height });
        else expect(result.width).toBeLessThanOrEqual(image.width);
      }),
    );
  });

  it('without reduction is never smaller than the image before it is cut', () => {
    fc.assert(
      fc.property(size, size, fc.constantFrom(...fits), (image, box, fit) => {
        const { scaled } = planResize(image, create(ResizeSchema, { ...box, fit, withoutReduction: true }));
        expect(scaled.width).toBeGreaterThanOrEqual(image.width);
        expect(scaled.height).toBeGreaterThanOrEqual(image.height);
      }),
    );
  });

  it('by percent and by device pixel ratio is that of the sides multiplied', () => {
    fc.assert(
      fc.property(size, side, fc.double({ min: 0.1, max: 10, noNaN: true }), (image, width, dpr) => {
        const wanted = Math.max(1, Math.round(width * dpr));
        if (wanted > 65535) return;
        expect(planResize(image, create(ResizeSchema, { width, dpr }))).toEqual(
          planResize(image, create(ResizeSchema, { width: wanted })),
        );
      }),
    );
    const half = planResize({ width: 101, height: 50 }, create(ResizeSchema, { percent: 50 }));
    expect(half.result).toEqual({ width: 51, height: 25 });
  });
});

describe('crop', () => {
  it('by ratio is the largest rectangle of that ratio, inside the image, wherever it lies', () => {
    fc.assert(
      fc.property(
        size,
        fc.double({ min: 0.01, max: 100, noNaN: true }),
        gravity,
        (image, aspectRatio, gravity) => {
          const { left, top, width, height } = cropRect(image, create(CropSchema, { aspectRatio, gravity }));
          expect(left >= 0 && top >= 0 && left + width <= image.width && top + height <= image.height).toBe(
            true,
          );
          expect(width === image.width || height === image.height).toBe(true);
          const isAsWide = Math.abs(width - height * aspectRatio) <= 0.5 * Math.max(1, aspectRatio) + 1e-6;
          expect(isAsWide || width === 1 || height === 1).toBe(true);
        },
      ),
    );
  });

  it('around a point stays inside and has it in the middle where there is room', () => {
    const part = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(size, part, part, part, part, (image, focalX, focalY, a, b) => {
        const cut = {
          width: Math.max(1, Math.floor(a * image.width)),
          height: Math.max(1, Math.floor(b * image.height)),
        };
        const { left, width } = cropRect(image, create(CropSchema, { ...cut, focalX, focalY }));
        expect(left >= 0 && left + width <= image.width).toBe(true);
        const isFree = left > 0 && left + width < image.width;
        if (isFree) expect(Math.abs(left + width / 2 - focalX * image.width)).toBeLessThanOrEqual(0.5);
      }),
    );
  });
});

describe('extend', () => {
  it('to a size reaches it, and a larger image stays as it is', () => {
    fc.assert(
      fc.property(size, size, gravity, (image, box, gravity) => {
        const { left, top, right, bottom } = extendSides(image, create(ExtendSchema, { ...box, gravity }));
        expect(Math.min(left, top, right, bottom)).toBeGreaterThanOrEqual(0);
        expect(image.width + left + right).toBe(Math.max(image.width, box.width));
        expect(image.height + top + bottom).toBe(Math.max(image.height, box.height));
      }),
    );
  });
});

describe('perspective', () => {
  it('takes the longer edges, and only convex quadrilaterals', () => {
    expect(perspectiveSize({ corners: [0, 0, 30, 40, 20, 90, -5, 60] })).toEqual({ width: 50, height: 60 });
    const crossed = [0, 0, 10, 10, 10, 0, 0, 10];
    const mirrored = [10, 0, 0, 0, 0, 10, 10, 10];
    for (const corners of [crossed, mirrored, [0, 0, 0, 0, 0, 0, 0, 0], [Number.NaN, 0, 1, 0, 1, 1, 0, 1]]) {
      expect(() => perspectiveSize({ corners })).toThrow(/corners/);
    }
  });
});

describe('limits', () => {
  it('of kernels count taps times pixels', () => {
    const large = create(OperationSchema, { operation: { case: 'gaussianBlur', value: { size: 255 } } });
    const limits = { ...defaultLimits, maxKernelWork: 510 };
    expect(pipelineSizes({ width: 1000, height: 1000 }, [large], limits)).toHaveLength(2);
    expect(() => pipelineSizes({ width: 1001, height: 1000 }, [large], limits)).toThrow(
      expect.objectContaining({
        reason: 'TOO_MANY_PIXELS',
        metadata: { kernelWork: '511', maxKernelWork: '510' },
      }),
    );
  });
});

describe('limits of a part', () => {
  it('count the pixels of the part alone', () => {
    const part = create(OperationSchema, {
      operation: { case: 'blurRegion', value: { width: 100, height: 100, sigma: 40 } },
    });
    const limits = { ...defaultLimits, maxKernelWork: 5 };
    expect(pipelineSizes({ width: 5000, height: 5000 }, [part], limits)).toHaveLength(2);
    expect(() => pipelineSizes({ width: 100, height: 100 }, [part, part], limits)).toThrow(/at most 5 taps/);
  });

  it('count all frames of an animation', () => {
    const flip = create(OperationSchema, { operation: { case: 'flip', value: {} } });
    const limits = { ...defaultLimits, maxAnimationPixels: 1000 };
    expect(pipelineSizes({ width: 10, height: 10 }, [flip], limits, 'operations', 10)).toHaveLength(2);
    expect(() => pipelineSizes({ width: 10, height: 10 }, [flip], limits, 'operations', 11)).toThrow(
      expect.objectContaining({
        reason: 'OUTPUT_TOO_LARGE',
        violations: [expect.objectContaining({ field: 'operations[0].flip' })],
      }),
    );
  });
});

describe('frames', () => {
  const trim = create(OperationSchema, { operation: { case: 'trim', value: {} } });
  const second = create(OperationSchema, { operation: { case: 'selectFrame', value: { index: 1 } } });

  it('are chosen first, and only among those there are', () => {
    expect(planFrames(3, [second, trim])).toEqual({ frames: 1, selected: 1 });
    expect(planFrames(1, [trim])).toEqual({ frames: 1, selected: undefined });
    expect(() => planFrames(1, [second])).toThrow(/one frame/);
    expect(() => planFrames(3, [trim, second])).toThrow(/must be the first/);
    expect(() => planFrames(3, [trim])).toThrow(/animated/);
  });
});
