/** Small images for the tests of the kernels, and slow, obvious models of what the kernels do. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type Operation, OperationSchema } from '@imagemesh/api';
import { applyOperations } from './kernels/index.ts';
import { typeOf } from './mat-scope.ts';
import type { Mat, OpenCv } from './opencv.ts';

export interface Raster {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
}

/** What a filter gives whose result is a function of a square window: the reference, written to be plainly right. */
export function filterWindow(
  image: Raster,
  size: number,
  border: (at: number, length: number) => number,
  value: (window: number[]) => number,
): Raster {
  const { width, height, channels } = image;
  const reach = (size - 1) / 2;
  const data = image.data.map((_, index) => {
    const channel = index % channels;
    const x = Math.floor(index / channels) % width;
    const y = Math.floor(index / channels / width);
    const window: number[] = [];
    for (let dy = -reach; dy <= reach; dy++) {
      for (let dx = -reach; dx <= reach; dx++) {
        const from = border(y + dy, height) * width + border(x + dx, width);
        window.push(image.data[from * channels + channel] ?? 0);
      }
    }
    return value(window);
  });
  return { ...image, data };
}

/** OpenCV's BORDER_REFLECT_101: dcb|abcd|cba. */
export function mirrored(at: number, length: number): number {
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const phase = ((at % period) + period) % period;
  return phase < length ? phase : period - phase;
}

export function clamped(at: number, length: number): number {
  return Math.min(length - 1, Math.max(0, at));
}

export function moved(
  image: Raster,
  width: number,
  height: number,
  from: (x: number, y: number) => [number, number],
): Raster {
  return paint(width, height, image.channels, (x, y) => {
    const [fromX, fromY] = from(x, y);
    const start = (fromY * image.width + fromX) * image.channels;
    return [...image.data.subarray(start, start + image.channels)];
  });
}

export function paint(
  width: number,
  height: number,
  channels: number,
  colour: (x: number, y: number) => number[],
): Raster {
  const data = new Uint8Array(width * height * channels);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) data.set(colour(x, y), (y * width + x) * channels);
  }
  return { width, height, channels, data };
}

export function addAlpha(image: Raster, alpha: (at: number) => number): Raster {
  const { width, height, channels, data } = image;
  return paint(width, height, channels + 1, (x, y) => {
    const at = y * width + x;
    return [...data.subarray(at * channels, at * channels + channels), alpha(at)];
  });
}

export function noise(width: number, height: number, channels: number, top = 256): Raster {
  const random = createRandom(width * 1000 + height);
  return paint(width, height, channels, () =>
    Array.from({ length: channels }, () => Math.floor(((random() >>> 16) / 65536) * top)),
  );
}

export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state;
  };
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export type OperationInit = NonNullable<MessageInitShape<typeof OperationSchema>['operation']>;

/** What the kernels make of the image. */
export function runSteps(cv: OpenCv, image: Raster, steps: readonly OperationInit[]): Raster {
  const mat = applyOperations(cv, toMat(cv, image), steps.map(toOperation), () => {});
  const result = {
    width: mat.cols,
    height: mat.rows,
    channels: mat.channels(),
    data: Uint8Array.from(mat.data),
  };
  mat.delete();
  return result;
}

export function toOperation(operation: OperationInit): Operation {
  return create(OperationSchema, { operation });
}

export function toMat(cv: OpenCv, { width, height, channels, data }: Raster): Mat {
  const mat = new cv.Mat(height, width, typeOf(cv, channels));
  mat.data.set(data);
  return mat;
}
