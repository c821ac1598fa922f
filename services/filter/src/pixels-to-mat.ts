/** The way of pixels into the wasm heap. */
import type { Operation } from '@imagemesh/api';
import { cropRect, leadingCrops, type Pixels, type Rect } from '@imagemesh/image';
import { typeOf } from './mat-scope.ts';
import type { Mat, OpenCv } from './opencv.ts';

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
  const { width, height } = pixels;
  const rectangle = operations.slice(0, crops).reduce(cropOf, { left: 0, top: 0, width, height });
  return { mat: toMat(cv, pixels, rectangle), rest: operations.slice(crops) };
}

function cropOf(from: Rect, { operation }: Operation): Rect {
  if (operation.case !== 'crop') return from;
  const rect = cropRect(from, operation.value);
  return { ...rect, left: from.left + rect.left, top: from.top + rect.top };
}

function toMat(cv: OpenCv, pixels: Pixels, { left, top, width, height }: Rect): Mat {
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
