import { FaceRedaction } from '@imagemesh/api';
import { decode, portrait } from '@imagemesh/testkit';
import { beforeAll, describe, expect, it } from 'vitest';
import { around, findFaces, padFace } from './faces.ts';
import { withMats } from './mat-scope.ts';
import { loadOpencv, type OpenCv } from './opencv.ts';
import { addAlpha, noise, type OperationInit, type Raster, runSteps, toMat } from './test-rasters.ts';

let cv: OpenCv;
beforeAll(async () => {
  cv = await loadOpencv();
});

describe('findFaces', () => {
  it('finds what native OpenCV 4.12 finds: detectMultiScale(grey, 1.1, 4, 0, smallest)', async () => {
    expect(find(await drawn(160, 160))).toEqual([{ left: 22, top: 27, width: 119, height: 119 }]);
    expect(find(await drawn(500, 300))).toEqual([{ left: 138, top: 49, width: 224, height: 224 }]);
  });

  it('searches a copy of at most 1024 px, and answers in px of the image', async () => {
    // Native: [220, 122, 574, 574] in the copy.
    const [face] = find(await drawn(1632, 1224));
    const scale = 1632 / 1024;
    expect(face).toEqual({
      left: Math.floor(220 * scale),
      top: Math.floor(122 * scale),
      width: Math.ceil(574 * scale),
      height: Math.ceil(574 * scale),
    });
  });

  it('finds none where there are none, in images smaller than a face too', () => {
    for (const image of [noise(200, 100, 3), noise(300, 300, 1), noise(1, 1, 3), noise(19, 40, 4)]) {
      expect(find(image)).toEqual([]);
    }
  });

  it('keeps to the smallest size', async () => {
    expect(find(await drawn(160, 160), { minSize: 100 })).toEqual([]);
  });

  it('sees the same in grey images and in those with alpha', async () => {
    const image = await drawn(160, 160);
    const expected = find(image);
    expect(find(addAlpha(image, () => 128))).toEqual(expected);
    expect(find(runSteps(cv, image, [{ case: 'grayscale', value: {} }]))).toEqual(expected);
  });
});

it('padding stays inside the image', () => {
  const size = { width: 100, height: 80 };
  const face = { left: 10, top: 30, width: 40, height: 40 };
  expect(padFace(face, 50, size)).toEqual({ left: 0, top: 10, width: 70, height: 70 });
  expect(around([face, { left: 80, top: 0, width: 10, height: 10 }], size)).toEqual({
    left: 10,
    top: 0,
    width: 80,
    height: 70,
  });
  expect(around([], size)).toBeUndefined();
});

describe('redactFaces', () => {
  it.each([
    [FaceRedaction.BLUR, Number.POSITIVE_INFINITY],
    [FaceRedaction.PIXELATE, 64],
    [FaceRedaction.BLACK, 1],
  ])('leaves little of the face and all around it (method %i)', async (method, mostColours) => {
    const image = await drawn(160, 160);
    const result = run(image, { case: 'redactFaces', value: { method, padding: 10 } });
    const inside = padFace({ left: 22, top: 27, width: 119, height: 119 }, 10, image);
    const seen = new Set<number>();
    for (const [at, level] of result.data.entries()) {
      const [x, y] = [Math.floor(at / 3) % 160, Math.floor(at / 480)];
      const isInside =
        x >= inside.left &&
        y >= inside.top &&
        x < inside.left + inside.width &&
        y < inside.top + inside.height;
      if (!isInside) expect(level).toBe(image.data[at]);
      else if (at % 3 === 0)
        seen.add(level * 65536 + (result.data[at + 1] ?? 0) * 256 + (result.data[at + 2] ?? 0));
    }
    expect(seen.size).toBeLessThanOrEqual(mostColours);
    // A blurred face is still a face, though nobody's.
    if (method !== FaceRedaction.BLUR) expect(find(result)).toEqual([]);
  });

  it('blurs so that neighbours hardly differ', async () => {
    const image = await drawn(160, 160);
    const result = run(image, { case: 'redactFaces', value: { padding: 0 } });
    expect(steepest(image)).toBeGreaterThan(30);
    expect(steepest(result)).toBeLessThan(16);
  });

  it('keeps alpha, and an image without faces', async () => {
    const image = addAlpha(await drawn(160, 160), (at) => at % 256);
    const result = run(image, { case: 'redactFaces', value: {} });
    const alphaOf = ({ data }: Raster) => data.filter((_, at) => at % 4 === 3);
    expect(alphaOf(result)).toEqual(alphaOf(image));
    const empty = noise(60, 50, 3);
    expect(run(empty, { case: 'redactFaces', value: {} })).toEqual(empty);
  });
});

describe('cropToFaces', () => {
  it('keeps the face with its padding', async () => {
    const image = await drawn(500, 300);
    const expected = run(image, { case: 'crop', value: { left: 116, top: 27, width: 268, height: 268 } });
    expect(run(image, { case: 'cropToFaces', value: { padding: 10 } })).toEqual(expected);
  });

  it('leaves an image without faces', () => {
    const empty = noise(60, 50, 3);
    expect(run(empty, { case: 'cropToFaces', value: {} })).toEqual(empty);
  });

  it('a rectangle that no longer fits in what is left is refused, not undefined', async () => {
    const image = await drawn(500, 300);
    for (const step of [
      { case: 'pixelate', value: { left: 300, width: 200 } },
      { case: 'blurRegion', value: { left: 300, width: 200, height: 10 } },
    ] satisfies OperationInit[]) {
      expect(() => runSteps(cv, image, [{ case: 'cropToFaces', value: { padding: 0 } }, step])).toThrow(
        /whose width is 224 px here/,
      );
    }
  });
});

/** The largest difference of two neighbours in a row of the face. */
function steepest({ data }: Raster): number {
  let most = 0;
  for (let y = 28; y < 145; y++) {
    for (let x = 23; x < 140; x++) {
      const at = (y * 160 + x) * 3;
      most = Math.max(most, Math.abs((data[at] ?? 0) - (data[at - 3] ?? 0)));
    }
  }
  return most;
}

function run(image: Raster, step: OperationInit): Raster {
  return runSteps(cv, image, [step]);
}

function find(image: Raster, search: { minSize?: number } = {}) {
  const mat = toMat(cv, image);
  try {
    return withMats(cv, (scope) => findFaces(mat, search, scope, cv));
  } finally {
    mat.delete();
  }
}

async function drawn(width: number, height: number): Promise<Raster> {
  const { data, channels } = await decode(await portrait({ width, height }));
  return { width, height, channels, data: Uint8Array.from(data) };
}
