/** The way of pixels into the wasm heap. */
import type { Operation } from '@imagemesh/api';
import type { Pixels, Size } from '@imagemesh/image';
import { typeOf } from './mat-scope.ts';
import type { Mat, OpenCv } from './opencv.ts';

interface Rectangle extends Size {
  readonly left: number;
  readonly top: number;
}

/**
 * A Mat with the pixels, already cropped where the operations begin with crops, and the operations left to do. What
 * is cut off never enters the heap: a small part of a very large image can be filtered.
 */
export function cropToMat(
  cv: OpenCv,
  pixels: Pixels,
  operations: readonly Operation[],
): { readonly mat: Mat; readonly rest: readonly Operation[] } {
  const crops = leadingCrops(operations);
  const rectangle = operations.slice(0, crops).reduce(cropOf, { left: 0, top: 0, ...sizeOf(pixels) });
  return { mat: toMat(cv, pixels, rectangle), rest: operations.slice(crops) };
}

/** How many crops the operations begin with. */
export function leadingCrops(operations: readonly Operation[]): number {
  const first = operations.findIndex(({ operation }) => operation.case !== 'crop');
  return first === -1 ? operations.length : first;
}

function sizeOf({ width, height }: Size): Size {
  return { width, height };
}

function cropOf(from: Rectangle, { operation }: Operation): Rectangle {
  if (operation.case !== 'crop') return from;
  const { left = 0, top = 0, width = from.width, height = from.height } = operation.value;
  return { left: from.left + left, top: from.top + top, width, height };
}

function toMat(cv: OpenCv, pixels: Pixels, { left, top, width, height }: Rectangle): Mat {
  const { data, channels } = pixels;
  const mat = new cv.Mat(height, width, typeOf(cv, channels));
  const target = mat.data;
  if (width === pixels.width && height === pixels.height) {
    target.set(data);
    return mat;
  }
  const rowBytes = width * channels;
  for (let row = 0; row < height; row++) {
    const start = ((top + row) * pixels.width + left) * channels;
    target.set(data.subarray(start, start + rowBytes), row * rowBytes);
  }
  return mat;
}
