/** What holds for every filter: alpha kept, nothing done where nothing is asked, regions like the whole, memory given back. */
import { FlipDirection, MorphologyKind } from '@imagemesh/api';
import { beforeAll, describe, expect, it } from 'vitest';
import { typeOf } from './mat-scope.ts';
import { loadOpencv, type OpenCv } from './opencv.ts';
import { addAlpha, noise, type OperationInit, paint, type Raster, runSteps, sum } from './test-rasters.ts';

let cv: OpenCv;
beforeAll(async () => {
  cv = await loadOpencv();
});

describe('alpha', () => {
  it('is kept as it was by every filter but edges, for colour and for grey', () => {
    const alpha = (at: number) => (at * 53) % 256;
    for (const step of everyFilter.filter(({ case: name }) => !movesAlpha.has(name ?? ''))) {
      for (const channels of [1, 3]) {
        const image = noise(18, 13, channels);
        const plain = addAlpha(run(image, step), alpha);
        expect(run(addAlpha(image, alpha), step), `${step.case} of ${channels}`).toEqual(plain);
      }
    }
  });
});

describe('what changes nothing', () => {
  it('changes nothing', () => {
    const steps: OperationInit[] = [
      { case: 'blur', value: { size: 1 } },
      { case: 'gaussianBlur', value: { size: 1 } },
      { case: 'adjust', value: {} },
      { case: 'adjust', value: { brightness: 0, gamma: 1, hue: 0 } },
      { case: 'sepia', value: { amount: 0 } },
      { case: 'sharpen', value: { amount: 0 } },
      { case: 'sharpen', value: { threshold: 255 } },
      { case: 'convolve', value: { kernel: [0, 0, 0, 0, 2, 0, 0, 0, 0], divisor: 2 } },
      { case: 'emboss', value: { amount: 0 } },
      { case: 'morphology', value: { kind: MorphologyKind.DILATE, size: 1 } },
      { case: 'rotate', value: { angle: 360 } },
      { case: 'perspective', value: { corners: [0, 0, 9, 0, 9, 7, 0, 7] } },
      { case: 'pixelate', value: { size: 2, width: 1, height: 1 } },
    ];
    for (const channels of [3, 4]) {
      const image = noise(9, 7, channels);
      for (const step of steps) expect(run(image, step), `${step.case}`).toEqual(image);
    }
  });

  it('is done twice or four times', () => {
    const image = noise(9, 7, 4);
    const twice: OperationInit[] = [
      { case: 'invert', value: {} },
      { case: 'flip', value: { direction: FlipDirection.BOTH } },
    ];
    for (const step of twice) expect(run(image, step, step)).toEqual(image);
    const quarter: OperationInit = { case: 'rotate', value: { angle: 90 } };
    expect(run(image, quarter, quarter, quarter, quarter)).toEqual(image);
  });
});

describe('regions', () => {
  it('are blurred as the whole would be there, and nowhere else', () => {
    const image = noise(60, 50, 3);
    const whole = run(image, { case: 'gaussianBlur', value: { sigma: 2 } });
    for (const [left, top] of [
      [0, 0],
      [20, 15],
      [40, 38],
    ] as const) {
      const region = { left, top, width: 20, height: 12 };
      const expected = paint(60, 50, 3, (x, y) => {
        const isInside = x >= left && x < left + 20 && y >= top && y < top + 12;
        const from = (y * 60 + x) * 3;
        return [...(isInside ? whole : image).data.subarray(from, from + 3)];
      });
      expect(run(image, { case: 'blurRegion', value: { ...region, sigma: 2 } })).toEqual(expected);
    }
  });

  it('are pixelated by the mean of whole squares and of what is left at the edges', () => {
    const image = noise(11, 7, 1);
    const size = 4;
    const { data } = run(image, { case: 'pixelate', value: { size } });
    const expected = paint(11, 7, 1, (x, y) => {
      const [left, top] = [x - (x % size), y - (y % size)];
      const levels: number[] = [];
      for (let row = top; row < Math.min(7, top + size); row++) {
        for (let column = left; column < Math.min(11, left + size); column++) {
          levels.push(image.data[row * 11 + column] ?? 0);
        }
      }
      return [sum(levels) / levels.length];
    });
    for (const [at, level] of expected.data.entries()) {
      expect(Math.abs(level - (data[at] ?? 0))).toBeLessThanOrEqual(1);
    }
  });
});

describe('memory', () => {
  it('leaves the heap as it was after ten thousand filters', () => {
    const image = noise(24, 16, 4);
    for (const step of everyFilter) run(image, step);
    const used = heapInUse();
    for (let count = 0; count < 10_000; count++)
      run(image, everyFilter[count % everyFilter.length] ?? { case: 'blur', value: {} });
    expect(cv.HEAPU8.length).toBe(128 * 1024 * 1024);
    expect(heapInUse()).toBeLessThanOrEqual(used + 64 * 1024);
  });
});

/** Where the allocator puts the next large block: it moves up when blocks before it are not given back. */
function heapInUse(): number {
  const probe = new cv.Mat(1024, 1024, typeOf(cv, 1));
  const at = probe.data.byteOffset;
  probe.delete();
  return at;
}

/** Every operation that is a filter, with parameters that make it do something. */
const everyFilter: readonly OperationInit[] = [
  { case: 'blur', value: {} },
  { case: 'gaussianBlur', value: { sigma: 1.5 } },
  { case: 'medianBlur', value: {} },
  { case: 'bilateral', value: { diameter: 5 } },
  { case: 'edges', value: {} },
  { case: 'sobel', value: {} },
  { case: 'laplacian', value: { size: 3 } },
  { case: 'threshold', value: { otsu: true } },
  { case: 'adaptiveThreshold', value: {} },
  { case: 'morphology', value: { kind: MorphologyKind.TOP_HAT } },
  { case: 'sharpen', value: { threshold: 3 } },
  { case: 'convolve', value: { kernel: [1, 2, 1, 0, 0, 0, -1, -2, -1] } },
  { case: 'emboss', value: {} },
  { case: 'grayscale', value: {} },
  { case: 'adjust', value: { brightness: 10, contrast: 20, gamma: 1.2, saturation: 30, hue: 40 } },
  { case: 'invert', value: {} },
  { case: 'equalize', value: {} },
  { case: 'clahe', value: {} },
  { case: 'sepia', value: {} },
  { case: 'pixelate', value: { size: 3 } },
  { case: 'blurRegion', value: { left: 2, top: 2, width: 5, height: 5, sigma: 1 } },
  { case: 'perspective', value: { corners: [1, 1, 10, 2, 9, 9, 2, 8] } },
  { case: 'crop', value: { width: 5 } },
  { case: 'flip', value: {} },
  { case: 'rotate', value: { angle: 90 } },
];

/** Edges have no alpha; these treat it like a colour, or move it. */
const movesAlpha: ReadonlySet<string> = new Set([
  'edges',
  'pixelate',
  'perspective',
  'crop',
  'flip',
  'rotate',
]);

function run(image: Raster, ...steps: OperationInit[]): Raster {
  return runSteps(cv, image, steps);
}
