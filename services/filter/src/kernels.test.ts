import { FlipDirection } from '@imagemesh/api';
import { beforeAll, describe, expect, it } from 'vitest';
import { applyOperations } from './kernels/index.ts';
import { loadOpencv, type OpenCv } from './opencv.ts';
import {
  addAlpha,
  clamped,
  createRandom,
  filterWindow,
  mirrored,
  moved,
  noise,
  type OperationInit,
  paint,
  type Raster,
  runSteps,
  sum,
  toMat,
  toOperation,
} from './test-rasters.ts';

let cv: OpenCv;
beforeAll(async () => {
  cv = await loadOpencv();
});

describe('blur', () => {
  it('equals the mean of the 5×5 neighbourhood, mirrored at the borders', () => {
    const image = noise(31, 17, 3);
    expect(run(image, { case: 'blur', value: {} })).toEqual(
      filterWindow(image, 5, mirrored, (window) => Math.round(sum(window) / 25)),
    );
  });

  it('equals the mean for every odd size up to 15 and on images smaller than the kernel', () => {
    for (const [size, image] of [
      [1, noise(9, 7, 1)],
      [3, noise(9, 7, 1)],
      [9, noise(20, 30, 3)],
      [15, noise(16, 16, 1)],
      [7, noise(4, 3, 3)],
      [5, noise(1, 1, 3)],
      [5, noise(2, 30, 3)],
    ] as const) {
      expect(run(image, { case: 'blur', value: { size } })).toEqual(
        filterWindow(image, size, mirrored, (window) => Math.round(sum(window) / size ** 2)),
      );
    }
  });
});

describe('gaussianBlur', () => {
  it('weighs 1 4 6 4 1 by default', () => {
    const image = noise(24, 19, 3);
    const weights = [1, 4, 6, 4, 1];
    const expected = filterWindow(image, 5, mirrored, (window) => {
      const weighted = window.map(
        (value, at) => value * (weights[at % 5] ?? 0) * (weights[Math.floor(at / 5)] ?? 0),
      );
      return (sum(weighted) + 128) >> 8;
    });
    expect(run(image, { case: 'gaussianBlur', value: {} })).toEqual(expected);
  });

  it('takes its size from sigma: three sigma to either side', () => {
    const dot = { width: 21, height: 1, channels: 1, data: new Uint8Array(21) };
    dot.data[10] = 255;
    const { data } = run(dot, { case: 'gaussianBlur', value: { sigma: 1 } });
    const lit = [...data].flatMap((value, x) => (value > 0 ? [x] : []));
    expect(lit).toEqual([7, 8, 9, 10, 11, 12, 13]);
    expect(run(dot, { case: 'gaussianBlur', value: { sigma: 1 } })).toEqual(
      run(dot, { case: 'gaussianBlur', value: { sigma: 1, size: 7 } }),
    );
  });
});

describe('medianBlur', () => {
  it('equals the median of the neighbourhood, the border replicated', () => {
    for (const size of [3, 5, 7, 11]) {
      for (const channels of [1, 3]) {
        const image = noise(23, 14, channels);
        expect(run(image, { case: 'medianBlur', value: { size } })).toEqual(
          filterWindow(
            image,
            size,
            clamped,
            (window) => window.sort((a, b) => a - b)[(size * size - 1) / 2] ?? 0,
          ),
        );
      }
    }
  });

  it('takes 5 by default', () => {
    const image = noise(12, 12, 3);
    expect(run(image, { case: 'medianBlur', value: {} })).toEqual(
      run(image, { case: 'medianBlur', value: { size: 5 } }),
    );
  });
});

describe('edges', () => {
  it('finds the outline of a square and nothing else', () => {
    const image = paint(32, 32, 3, (x, y) =>
      x >= 8 && x < 24 && y >= 8 && y < 24 ? [255, 255, 255] : [0, 0, 0],
    );
    const edges = run(image, { case: 'edges', value: {} });
    expect(edges).toMatchObject({ width: 32, height: 32, channels: 1 });
    const isNearOutline = (x: number, y: number) => {
      const distance = Math.max(Math.abs(x - 15.5), Math.abs(y - 15.5));
      return distance > 6 && distance < 10;
    };
    edges.data.forEach((value, at) => {
      if (!isNearOutline(at % 32, Math.floor(at / 32))) expect(value).toBe(0);
    });
    expect(edges.data.every((value) => value === 0 || value === 255)).toBe(true);
    expect(edges.data.filter((value) => value === 255).length).toBeGreaterThanOrEqual(56);
  });

  it('sees an edge between colours of equal brightness', () => {
    // 0.299 · 255 ≈ 0.587 · 130: the same grey.
    const image = paint(16, 16, 3, (x) => (x < 8 ? [255, 0, 0] : [0, 130, 0]));
    const grey = run(image, { case: 'grayscale', value: {} });
    expect(new Set(grey.data)).toEqual(new Set([76]));
    expect(run(image, { case: 'edges', value: {} }).data.some((value) => value === 255)).toBe(true);
  });

  it('takes the channels in BGR order, which decides where two have gradients of equal size', () => {
    // Rows of native OpenCV's own result (4.5.5 and 5.0.0 agree), one bit a pixel; in RGB order 22 pixels differ.
    const native =
      '5abc1 12080 08018 84048 58a15 04010 00e85 38000 0a541 78000 04d05 d1000 40108 1401d 3d180 11023 81280 84207 00210 06966';
    const random = createRandom(7);
    const image = paint(20, 20, 3, () => [0, 0, 0].map(() => (random() >>> 31) * 60));
    const { data } = run(image, { case: 'edges', value: {} });
    const rows = Array.from({ length: 20 }, (_, y) =>
      [...data.subarray(y * 20, y * 20 + 20)].map((value) => (value === 255 ? '1' : '0')).join(''),
    );
    expect(rows.map((bits) => Number.parseInt(bits, 2).toString(16).padStart(5, '0')).join(' ')).toBe(native);
  });

  it('ignores alpha', () => {
    const opaque = noise(20, 20, 3, 64);
    const withAlpha = addAlpha(opaque, (at) => (at * 37) % 256);
    expect(run(withAlpha, { case: 'edges', value: {} })).toEqual(run(opaque, { case: 'edges', value: {} }));
    const grey = noise(20, 20, 1, 200);
    expect(
      run(
        addAlpha(grey, () => 9),
        { case: 'edges', value: {} },
      ),
    ).toEqual(run(grey, { case: 'edges', value: {} }));
  });

  it('heeds thresholds, aperture and norm', () => {
    const image = noise(40, 40, 3, 100);
    const count = (value: object) => sum([...run(image, { case: 'edges', value }).data]) / 255;
    expect(count({ lowThreshold: 20, highThreshold: 60 })).toBeGreaterThan(count({}));
    expect(count({ lowThreshold: 60000, highThreshold: 60000 })).toBe(0);
    expect(count({ aperture: 5 })).not.toBe(count({}));
    expect(count({ l2Gradient: true })).toBeLessThan(count({}));
  });
});

describe('grayscale', () => {
  it('equals 0.299 R + 0.587 G + 0.114 B in 15-bit fixed point', () => {
    const image = noise(64, 64, 3);
    const expected = new Uint8Array(64 * 64);
    for (let at = 0; at < expected.length; at++) {
      const [red = 0, green = 0, blue = 0] = image.data.subarray(at * 3, at * 3 + 3);
      expected[at] = (red * 9798 + green * 19235 + blue * 3735 + 16384) >> 15;
    }
    expect(run(image, { case: 'grayscale', value: {} })).toEqual({ ...image, channels: 1, data: expected });
  });

  it('keeps alpha, and leaves grey images as they are', () => {
    const image = noise(9, 5, 3);
    const alpha = (at: number) => (at * 91) % 256;
    expect(run(addAlpha(image, alpha), { case: 'grayscale', value: {} })).toEqual(
      addAlpha(run(image, { case: 'grayscale', value: {} }), alpha),
    );
    for (const channels of [1, 2]) {
      const grey = noise(6, 6, channels);
      expect(run(grey, { case: 'grayscale', value: {} })).toEqual(grey);
    }
  });
});

describe('geometry', () => {
  it('crops exactly, for any number of channels', () => {
    for (const channels of [1, 2, 3, 4]) {
      const image = noise(13, 11, channels);
      expect(run(image, { case: 'crop', value: { left: 3, top: 2, width: 7, height: 5 } })).toEqual(
        moved(image, 7, 5, (x, y) => [x + 3, y + 2]),
      );
    }
  });

  it('flips exactly', () => {
    const image = noise(5, 4, 3);
    const flip = (direction?: FlipDirection) =>
      run(image, { case: 'flip', value: direction === undefined ? {} : { direction } });
    const horizontal = moved(image, 5, 4, (x, y) => [4 - x, y]);
    expect(flip()).toEqual(horizontal);
    expect(flip(FlipDirection.UNSPECIFIED)).toEqual(horizontal);
    expect(flip(FlipDirection.HORIZONTAL)).toEqual(horizontal);
    expect(flip(FlipDirection.VERTICAL)).toEqual(moved(image, 5, 4, (x, y) => [x, 3 - y]));
    expect(flip(FlipDirection.BOTH)).toEqual(moved(image, 5, 4, (x, y) => [4 - x, 3 - y]));
  });

  it('turns clockwise by multiples of 90 degrees exactly, in both signs', () => {
    for (const channels of [1, 2, 3, 4]) {
      const image = noise(5, 3, channels);
      const expected: Record<string, Raster> = {
        0: image,
        90: moved(image, 3, 5, (x, y) => [y, 2 - x]),
        180: moved(image, 5, 3, (x, y) => [4 - x, 2 - y]),
        270: moved(image, 3, 5, (x, y) => [4 - y, x]),
      };
      for (const angle of [0, 90, 180, 270, 360, -90, -180, -270, -360]) {
        expect(run(image, { case: 'rotate', value: { angle } })).toEqual(expected[(angle + 360) % 360]);
      }
    }
  });
});

describe('a pipeline', () => {
  it('does the operations in the order given', () => {
    const image = noise(16, 8, 4);
    const steps: OperationInit[] = [
      { case: 'rotate', value: { angle: 90 } },
      { case: 'crop', value: { left: 1, top: 2, width: 6, height: 9 } },
      { case: 'blur', value: { size: 3 } },
    ];
    expect(run(image, ...steps)).toEqual(steps.reduce((picture, step) => run(picture, step), image));
  });

  it('gives every byte of the heap back, also when it is stopped half-way or OpenCV throws', () => {
    const image = noise(512, 512, 4);
    const blur = toOperation({ case: 'blur', value: {} });
    const broken = toOperation({ case: 'crop', value: { left: 500, top: 0, width: 100, height: 1 } });
    const before = cv.HEAPU8.length;
    let stops = 0;
    for (let round = 0; round < 100; round++) {
      expect(() =>
        applyOperations(cv, toMat(cv, image), [blur, blur], () => {
          stops += 1;
          if (stops % 2 === 0) throw new Error('stopped');
        }),
      ).toThrow('stopped');
      expect(() => applyOperations(cv, toMat(cv, image), [blur, broken], () => {})).toThrow();
    }
    expect(cv.HEAPU8.length).toBe(before);
  });
});

function run(image: Raster, ...steps: OperationInit[]): Raster {
  return runSteps(cv, image, steps);
}
