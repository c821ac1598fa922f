/** The operations of this service, one kernel each. Their meaning is written in proto/imagemesh/v1. */
import { type Operation, OperationSchema } from '@imagemesh/api';
import { type MatScope, withMats } from '../mat-scope.ts';
import type { Mat, OpenCv } from '../opencv.ts';
import * as color from './color.ts';
import * as derivatives from './derivatives.ts';
import * as faces from './faces.ts';
import * as geometry from './geometry.ts';
import type { Kernel, OperationCase } from './kernel.ts';
import * as neighbourhood from './neighbourhood.ts';
import * as region from './region.ts';
import * as threshold from './threshold.ts';

const kernels: { readonly [Case in OperationCase]?: Kernel<Case> } = {
  blur: neighbourhood.blur,
  gaussianBlur: neighbourhood.gaussianBlur,
  medianBlur: neighbourhood.medianBlur,
  bilateral: neighbourhood.bilateral,
  sharpen: neighbourhood.sharpen,
  convolve: neighbourhood.convolve,
  emboss: neighbourhood.emboss,
  edges: derivatives.edges,
  sobel: derivatives.sobel,
  laplacian: derivatives.laplacian,
  threshold: threshold.threshold,
  adaptiveThreshold: threshold.adaptiveThreshold,
  morphology: threshold.morphology,
  grayscale: color.grayscale,
  adjust: color.adjust,
  invert: color.invert,
  sepia: color.sepia,
  equalize: color.equalize,
  clahe: color.clahe,
  pixelate: region.pixelate,
  blurRegion: region.blurRegion,
  redactFaces: faces.redactFaces,
  cropToFaces: faces.cropToFaces,
  crop: geometry.crop,
  flip: geometry.flip,
  rotate: geometry.rotate,
  perspective: geometry.perspective,
};

/** Proto field names of the operations that this service does: "gaussian_blur". */
export const filterOperations: readonly string[] = OperationSchema.fields
  .filter(({ localName }) => Object.hasOwn(kernels, localName))
  .map(({ name }) => name);

/** Whether this service does the operation. */
export function hasKernel(name: string | undefined): boolean {
  return name !== undefined && Object.hasOwn(kernels, name);
}

/**
 * Does the operations, in order. Takes `image` over; the result is the caller's to delete. `beforeEach` runs before
 * each operation and ends the work by throwing. Throws what OpenCV throws.
 */
export function applyOperations(
  cv: OpenCv,
  image: Mat,
  operations: readonly Operation[],
  beforeEach: () => void,
): Mat {
  return operations.reduce(
    (source, { operation }) =>
      withMats(cv, (scope) => {
        scope.own(source);
        beforeEach();
        return applyOne(cv, source, operation, scope);
      }),
    image,
  );
}

function applyOne(cv: OpenCv, source: Mat, operation: Operation['operation'], scope: MatScope): Mat {
  // The table pairs each case with the kernel of its own value, which the compiler cannot see through a lookup.
  const kernel = kernels[operation.case ?? 'resize'] as
    | ((source: Mat, value: unknown, scope: MatScope, cv: OpenCv) => Mat)
    | undefined;
  // Refused by `validate.ts`, before anything is decoded.
  if (kernel === undefined) throw new Error(`no kernel for the operation ${operation.case}`);
  return kernel(source, operation.value, scope, cv);
}
