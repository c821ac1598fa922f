/**
 * The exact size of an image after each operation, without touching a pixel.
 *
 * Workers do what is predicted here: they hand libvips the size, not the ratio. So the gateway can plan, refuse and
 * estimate from the header alone.
 */
import { Fit, type Operation, OperationSchema, type Resize } from '@imagemesh/api';
import { invalidField, MeshError } from '@imagemesh/rpc';
import type { Size } from './info.ts';
import type { ImageLimits } from './limits.ts';

/** How a Resize comes about: the image is scaled to exactly `scaled`, then cut or filled up to `result`. */
export interface ResizePlan {
  readonly scaled: Size;
  readonly result: Size;
}

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
 * Sizes before the first operation and after each.
 *
 * Throws INVALID_REQUEST (too many operations, no operation), OPERATION_OUT_OF_BOUNDS (a crop outside the image) or
 * OUTPUT_TOO_LARGE (one result, or all together), with the path of the field.
 */
export function pipelineSizes(
  size: Size,
  operations: readonly Operation[],
  limits: ImageLimits,
  path = 'operations',
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
  for (const [index, operation] of operations.entries()) {
    current = resultSize(current, operation, limits, `${path}[${index}]`);
    totalPixels += current.width * current.height;
    if (totalPixels > limits.maxPipelinePixels) {
      const message = `${path}[${index}]: the results up to here add up to ${totalPixels} px`;
      throw tooLarge(message, path, `at most ${limits.maxPipelinePixels} px in a pipeline`, {
        pixels: String(totalPixels),
        maxPipelinePixels: String(limits.maxPipelinePixels),
      });
    }
    sizes.push(current);
  }
  return sizes;
}

/** The size after one operation. `path` names the operation in errors, such as "operations[1]". */
export function resultSize(size: Size, operation: Operation, limits: ImageLimits, path = 'operation'): Size {
  const step = operation.operation;
  switch (step.case) {
    case 'resize': {
      const { scaled, result } = planResize(size, step.value, `${path}.resize`);
      // A cover scales beyond its result and cuts; what is scaled must fit in memory too.
      checkOutput(scaled, limits, `${path}.resize`);
      return checkOutput(result, limits, `${path}.resize`);
    }
    case 'crop': {
      const { left = 0, top = 0, width = 0, height = 0 } = step.value;
      checkSpan(left, width, size.width, `${path}.crop`, 'left', 'width');
      checkSpan(top, height, size.height, `${path}.crop`, 'top', 'height');
      return { width, height };
    }
    case 'rotate': {
      const { angle } = step.value;
      if (angle === undefined || !Number.isFinite(angle))
        throw invalidField(`${path}.rotate.angle`, 'must be given');
      return checkOutput(rotatedSize(size, angle), limits, `${path}.rotate`);
    }
    case undefined:
      throw invalidField(path, 'no operation is set, or one that this version does not know');
    default:
      return size;
  }
}

/** How a resize of an image of this size comes about. Sides round to the nearest px and are at least 1. */
export function planResize(size: Size, resize: Resize, path = 'resize'): ResizePlan {
  const { width, height } = resize;
  if (width === undefined && height === undefined)
    throw invalidField(path, 'width, height or both must be given');
  if (width !== undefined) checkSide(width, `${path}.width`);
  if (height !== undefined) checkSide(height, `${path}.height`);
  if (width === undefined || height === undefined) {
    const scaled = width === undefined ? toHeight(size, height ?? 1) : toWidth(size, width);
    return { scaled, result: scaled };
  }
  const box = { width, height };
  // Whole numbers of at most 32 bits: the comparison is exact.
  const isWidthTighter = width * size.height <= height * size.width;
  const inside = () => (isWidthTighter ? toWidth(size, width) : toHeight(size, height));
  const outside = () => (isWidthTighter ? toHeight(size, height) : toWidth(size, width));
  switch (resize.fit ?? Fit.UNSPECIFIED) {
    case Fit.UNSPECIFIED:
    case Fit.FILL:
      return { scaled: box, result: box };
    case Fit.INSIDE: {
      const scaled = inside();
      return { scaled, result: scaled };
    }
    case Fit.OUTSIDE: {
      const scaled = outside();
      return { scaled, result: scaled };
    }
    case Fit.CONTAIN:
      return { scaled: inside(), result: box };
    case Fit.COVER:
      return { scaled: outside(), result: box };
    default:
      // Enums are open: a newer client may know more.
      throw invalidField(`${path}.fit`, 'is not a fit that this version knows');
  }
}

/** The size of the canvas that holds the image turned by that angle; equal to libvips' own rounding. */
export function rotatedSize({ width, height }: Size, angle: number): Size {
  const quarter = quarterTurns(angle);
  if (quarter !== undefined) return quarter % 2 === 0 ? { width, height } : { width: height, height: width };
  const radians = (angle * Math.PI) / 180;
  const cos = Math.abs(Math.cos(radians));
  const sin = Math.abs(Math.sin(radians));
  return { width: roundSide(width * cos + height * sin), height: roundSide(width * sin + height * cos) };
}

/** Clockwise quarter turns 0 to 3, if the angle is a multiple of 90 degrees. */
export function quarterTurns(angle: number): 0 | 1 | 2 | 3 | undefined {
  const turned = ((angle % 360) + 360) % 360;
  switch (turned) {
    case 0:
      return 0;
    case 90:
      return 1;
    case 180:
      return 2;
    case 270:
      return 3;
    default:
      return undefined;
  }
}

/**
 * The other side follows the ratio. Halves round up; sharp, asked for one side only, rounds them either way, by the noise
 * of its floating point, which is one more reason to ask it for both.
 */
function toWidth(size: Size, width: number): Size {
  return { width, height: roundSide((size.height * width) / size.width) };
}

function toHeight(size: Size, height: number): Size {
  return { width: roundSide((size.width * height) / size.height), height };
}

function roundSide(side: number): number {
  return Math.max(1, Math.round(side));
}

/** The ranges stand as protovalidate rules too; the formulas above must not depend on somebody having run them. */
function checkSide(side: number, path: string): void {
  if (!Number.isInteger(side) || side < 1 || side > 65535) throw invalidField(path, 'must be 1 to 65535');
}

function checkSpan(
  start: number,
  length: number,
  side: number,
  path: string,
  startName: string,
  lengthName: string,
): void {
  if (start < 0 || !Number.isInteger(start)) throw invalidField(`${path}.${startName}`, 'must be 0 or more');
  if (length < 1 || !Number.isInteger(length))
    throw invalidField(`${path}.${lengthName}`, 'must be 1 or more');
  if (start + length <= side) return;
  const field = `${path}.${start >= side ? startName : lengthName}`;
  const description = `${startName} ${start} + ${lengthName} ${length} is beyond the image, whose ${lengthName} is ${side} px here`;
  throw new MeshError('OPERATION_OUT_OF_BOUNDS', `${field}: ${description}`, {
    violations: [{ field, description }],
    metadata: { [startName]: String(start), [lengthName]: String(length), side: String(side) },
  });
}

function checkOutput(size: Size, limits: ImageLimits, path: string): Size {
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

function tooLarge(what: string, field: string, rule: string, metadata: Record<string, string>): MeshError {
  return new MeshError('OUTPUT_TOO_LARGE', `${what}; ${rule}`, {
    metadata,
    violations: [{ field, description: rule }],
  });
}
