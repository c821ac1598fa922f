/**
 * The exact size of an image after each operation, without touching a pixel.
 *
 * Workers do what is predicted here: they hand libvips the size, not the ratio. So the gateway can plan, refuse and
 * estimate from the header alone. Only the sizes of a trim and a crop_to_faces are not known before:
 * from there on sizes are the largest possible.
 */
import { Fit, type Operation, OperationSchema } from '@imagemesh/api';
import { invalidField, MeshError } from '@imagemesh/rpc';
import type { Size } from '../info.ts';
import type { ImageLimits } from '../limits.ts';
import { checkOutput, tooLarge } from './checks.ts';
import { extendSides } from './extend.ts';
import { kernelTaps } from './kernel-work.ts';
import { perspectiveSize } from './perspective.ts';
import { cropRect, isSmartGravity, regionRect } from './place.ts';
import { planResize } from './resize.ts';
import { rotatedSize } from './rotate.ts';

/** Field names of the Operation oneof, as in the proto, by their names in TypeScript: what `im-op` carries. */
const operationNames: ReadonlyMap<string, string> = new Map(
  OperationSchema.fields.map(({ localName, name }) => [localName, name]),
);

/** The operation's proto field name, such as "gaussian_blur"; INVALID_REQUEST where none is set (or none we know). */
export function operationName(operation: Operation, path = 'operation'): string {
  const name = operationNames.get(operation.operation.case ?? '');
  if (name === undefined)
    throw invalidField(path, 'no operation is set, or one that this version does not know');
  return name;
}

/**
 * Sizes before the first operation and after each. Of an animation they are those of each of its `frames`, and its limits
 * hold for all of them together.
 *
 * Throws INVALID_REQUEST (too many operations, no operation), OPERATION_OUT_OF_BOUNDS (a crop outside the image),
 * OUTPUT_TOO_LARGE (one result, or all together) or TOO_MANY_PIXELS (too large a kernel on too large an image), with the
 * path of the field.
 */
export function pipelineSizes(
  size: Size,
  operations: readonly Operation[],
  limits: ImageLimits,
  path = 'operations',
  frames = 1,
): readonly Size[] {
  if (operations.length > limits.maxOperations) {
    throw invalidField(
      path,
      `${operations.length} operations; at most ${limits.maxOperations} are done in one pipeline`,
    );
  }
  const sizes: Size[] = [size];
  let current = size;
  let totalPixels = 0;
  let kernelWork = 0;
  for (const [index, operation] of operations.entries()) {
    kernelWork += (kernelTaps(operation) * kernelPixels(operation, current) * frames) / 1e6;
    current = resultSize(current, operation, limits, `${path}[${index}]`);
    const pixels = current.width * current.height * frames;
    const field = `${path}[${index}].${operationName(operation)}`;
    if (frames > 1) checkAnimation(current, frames, pixels, limits, field);
    totalPixels += pixels;
    if (totalPixels > limits.maxPipelinePixels) {
      const message = `${path}[${index}]: the results up to here add up to ${totalPixels} px`;
      throw tooLarge(message, path, `at most ${limits.maxPipelinePixels} px in a pipeline`, {
        pixels: String(totalPixels),
        maxPipelinePixels: String(limits.maxPipelinePixels),
      });
    }
    if (kernelWork > limits.maxKernelWork) throw tooMuchWork(kernelWork, limits, field);
    sizes.push(current);
  }
  return sizes;
}

/** The size after one operation. `path` names the operation in errors, such as "operations[1]". */
export function resultSize(size: Size, operation: Operation, limits: ImageLimits, path = 'operation'): Size {
  const step = operation.operation;
  switch (step.case) {
    case 'resize': {
      const { gravity, fit } = step.value;
      if (isSmartGravity(gravity) && fit !== Fit.COVER) {
        throw invalidField(`${path}.resize.gravity`, 'looks at the pixels: it is for FIT_COVER alone');
      }
      const { scaled, result } = planResize(size, step.value, `${path}.resize`);
      // A cover scales beyond its result and cuts; what is scaled must fit in memory too.
      checkOutput(scaled, limits, `${path}.resize`);
      return checkOutput(result, limits, `${path}.resize`);
    }
    case 'crop': {
      const { width, height } = cropRect(size, step.value, `${path}.crop`);
      return { width, height };
    }
    case 'rotate': {
      const { angle } = step.value;
      if (angle === undefined || !Number.isFinite(angle))
        throw invalidField(`${path}.rotate.angle`, 'must be given');
      return checkOutput(rotatedSize(size, angle), limits, `${path}.rotate`);
    }
    case 'extend': {
      const { left, top, right, bottom } = extendSides(size, step.value);
      const extended = { width: size.width + left + right, height: size.height + top + bottom };
      return checkOutput(extended, limits, `${path}.extend`);
    }
    case 'perspective':
      return checkOutput(perspectiveSize(step.value, `${path}.perspective`), limits, `${path}.perspective`);
    case 'pixelate':
      regionRect(size, step.value, `${path}.pixelate`);
      return size;
    case 'blurRegion':
      regionRect(size, step.value, `${path}.blur_region`);
      return size;
    case undefined:
      throw invalidField(path, 'no operation is set, or one that this version does not know');
    default:
      return size;
  }
}

/** Pixels that a kernel runs over: of a part of the image, those of the part. */
function kernelPixels({ operation }: Operation, { width, height }: Size): number {
  if (operation.case !== 'blurRegion') return width * height;
  const { width: partWidth = width, height: partHeight = height } = operation.value;
  return Math.min(width, partWidth) * Math.min(height, partHeight);
}

function checkAnimation(
  { width, height }: Size,
  frames: number,
  pixels: number,
  { maxAnimationPixels }: ImageLimits,
  path: string,
): void {
  if (pixels <= maxAnimationPixels) return;
  const message = `${path}: ${frames} frames of ${width}×${height} = ${pixels} px`;
  throw tooLarge(message, path, `at most ${maxAnimationPixels} px in all frames of an animation`, {
    frames: String(frames),
    pixels: String(pixels),
    maxAnimationPixels: String(maxAnimationPixels),
  });
}

function tooMuchWork(work: number, { maxKernelWork }: ImageLimits, path: string): MeshError {
  const rounded = Math.ceil(work);
  const rule = `at most ${maxKernelWork} taps × megapixels: take a smaller kernel, or resize or crop first`;
  return new MeshError('TOO_MANY_PIXELS', `${path}: the kernels up to here have ${rounded}; ${rule}`, {
    metadata: { kernelWork: String(rounded), maxKernelWork: String(maxKernelWork) },
    violations: [{ field: path, description: rule }],
  });
}
