/** The refusals that the laws of geometry share. */
import { MeshError } from '@imagemesh/rpc';
import type { Size } from '../info.ts';
import type { ImageLimits } from '../limits.ts';

/** Refuses a size beyond the limits: OUTPUT_TOO_LARGE. `path` names the operation. */
export function checkOutput(size: Size, limits: ImageLimits, path: string): Size {
  const { width, height } = size;
  const sides = { width: String(width), height: String(height) };
  if (width > limits.maxSide || height > limits.maxSide) {
    const what = `at most ${limits.maxSide} px a side`;
    throw tooLarge(`${path}: ${width}×${height} px`, path, what, {
      ...sides,
      maxSide: String(limits.maxSide),
    });
  }
  if (width * height > limits.maxOutputPixels) {
    const what = `at most ${limits.maxOutputPixels} px in a result`;
    throw tooLarge(`${path}: ${width}×${height} = ${width * height} px`, path, what, {
      ...sides,
      maxOutputPixels: String(limits.maxOutputPixels),
    });
  }
  return size;
}

export function tooLarge(
  what: string,
  field: string,
  rule: string,
  metadata: Record<string, string>,
): MeshError {
  return new MeshError('OUTPUT_TOO_LARGE', `${what}; ${rule}`, {
    metadata,
    violations: [{ field, description: rule }],
  });
}

/** OPERATION_OUT_OF_BOUNDS: something reaches beyond the image, or its animation. */
export function outOfBounds(
  field: string,
  description: string,
  metadata: Record<string, string> = {},
): MeshError {
  return new MeshError('OPERATION_OUT_OF_BOUNDS', `${field}: ${description}`, {
    violations: [{ field, description }],
    metadata,
  });
}

/** Half up, at least 1. */
export function roundSide(side: number): number {
  return Math.max(1, Math.round(side));
}
