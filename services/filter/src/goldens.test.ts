/** The kernels against native OpenCV 4: what test/goldens/make.py wrote down. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { inflateSync } from 'node:zlib';
import { fromJson, type JsonObject } from '@bufbuild/protobuf';
import { OperationSchema } from '@imagemesh/api';
import { beforeAll, expect, it } from 'vitest';
import { applyOperations } from './kernels/index.ts';
import { typeOf } from './mat-scope.ts';
import { loadOpencv, type OpenCv } from './opencv.ts';

interface Golden {
  readonly operation: JsonObject;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly sha256: string;
  /** Deflated, base64: results that may differ by 1. */
  readonly bytes?: string;
}

const file = new URL('../../../test/goldens/opencv.json', import.meta.url);
const goldens: { readonly opencv: string; readonly cases: readonly Golden[] } = JSON.parse(
  readFileSync(file, 'utf8'),
);
const exact = goldens.cases.filter(({ bytes }) => bytes === undefined);
const close = goldens.cases.filter(({ bytes }) => bytes !== undefined);

let cv: OpenCv;
beforeAll(async () => {
  cv = await loadOpencv();
});

it('equal native OpenCV, pixel by pixel', () => {
  expect(exact.length).toBeGreaterThan(300);
  const different = exact.filter((golden) => sha256(run(golden)) !== golden.sha256).map(nameOf);
  expect(different).toEqual([]);
});

it('differ from native OpenCV by at most 1 where floating point decides', () => {
  expect(close.length).toBeGreaterThan(10);
  for (const golden of close) {
    const expected = inflateSync(Buffer.from(golden.bytes ?? '', 'base64'));
    const result = run(golden);
    expect(result.length, nameOf(golden)).toBe(expected.length);
    const largest = result.reduce(
      (most, level, at) => Math.max(most, Math.abs(level - (expected[at] ?? 0))),
      0,
    );
    expect(largest, nameOf(golden)).toBeLessThanOrEqual(1);
  }
});

function run({ operation, width, height, channels }: Golden): Uint8Array {
  const mat = new cv.Mat(height, width, typeOf(cv, channels));
  mat.data.set(goldenImage(width, height, channels));
  const result = applyOperations(cv, mat, [fromJson(OperationSchema, operation)], () => {});
  const pixels = result.data.slice();
  result.delete();
  return pixels;
}

/** The same numbers as `image` in test/goldens/make.py. */
function goldenImage(width: number, height: number, channels: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length: width * height * channels }, (_, at) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const pixel = Math.floor(at / channels);
    const slope = ((pixel % width) * 5 + Math.floor(pixel / width) * 3 + (at % channels) * 60) & 255;
    return (slope * 3 + (state >>> 24)) >> 2;
  });
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function nameOf({ operation, width, height, channels }: Golden): string {
  return `${JSON.stringify(operation)} on ${width}×${height}×${channels}`;
}
