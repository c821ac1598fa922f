/** Mats made of numbers. Each is the caller's to delete. */
import type { Mat, OpenCv } from './opencv.ts';

/** 32-bit floats, row by row; `channels` is 1 or 2. */
export function floatMat(
  cv: OpenCv,
  rows: number,
  cols: number,
  values: readonly number[],
  channels: 1 | 2 = 1,
): Mat {
  const mat = new cv.Mat(rows, cols, channels === 1 ? cv.CV_32FC1 : cv.CV_32FC2);
  mat.data32F.set(values);
  return mat;
}

/** One row of 8-bit samples. */
export function byteMat(cv: OpenCv, values: Uint8Array): Mat {
  const mat = new cv.Mat(1, values.length, cv.CV_8UC1);
  mat.data.set(values);
  return mat;
}
