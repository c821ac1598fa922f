/**
 * The operations of this service, each one function on Mats of 8-bit samples with 1 (grey), 2 (grey, alpha), 3 (RGB)
 * or 4 (RGBA) channels. Their meaning is written in proto/imagemesh/v1/operation.proto.
 *
 * Filters work on the colours alone and put the alpha plane back as it was: OpenCV knows no alpha, and medianBlur no
 * two-channel image.
 */
import { FlipDirection, type Operation, OperationSchema } from '@imagemesh/api';
import { quarterTurns } from '@imagemesh/image';
import { type MatScope, withMats } from './mat-scope.ts';
import type { Mat, OpenCv } from './opencv.ts';

type Step = Exclude<Operation['operation'], { case: undefined }>;

/** The case of each operation that this service does. */
export type KernelCase =
  | 'blur'
  | 'gaussianBlur'
  | 'medianBlur'
  | 'edges'
  | 'grayscale'
  | 'crop'
  | 'flip'
  | 'rotate';

type ValueOf<Case extends KernelCase> = Extract<Step, { case: Case }>['value'];

/** `source` belongs to the scope; the Mat returned may be `source` itself. */
type Kernel<Value> = (source: Mat, value: Value, scope: MatScope, cv: OpenCv) => Mat;

const kernels: { readonly [Case in KernelCase]: Kernel<ValueOf<Case>> } = {
  blur(source, { size = 5 }, scope, cv) {
    return onColours(source, scope, cv, (colours, target) =>
      cv.blur(colours, target, new cv.Size(size, size)),
    );
  },

  gaussianBlur(source, { size, sigma }, scope, cv) {
    const side = size ?? (sigma === undefined ? 5 : gaussianSize(sigma));
    // A sigma of 0 lets OpenCV derive it from the size, by the formula of the API.
    return onColours(source, scope, cv, (colours, target) =>
      cv.GaussianBlur(colours, target, new cv.Size(side, side), sigma ?? 0, sigma ?? 0, cv.BORDER_DEFAULT),
    );
  },

  medianBlur(source, { size = 5 }, scope, cv) {
    return onColours(source, scope, cv, (colours, target) => cv.medianBlur(colours, target, size));
  },

  edges(source, { lowThreshold = 100, highThreshold = 200, aperture = 3, l2Gradient = false }, scope, cv) {
    const colours = toBgr(source, scope, cv);
    const edges = scope.mat();
    cv.Canny(colours, edges, lowThreshold, highThreshold, aperture, l2Gradient);
    return edges;
  },

  grayscale(source, _value, scope, cv) {
    const channels = source.channels();
    if (channels <= 2) return source;
    const grey = scope.mat();
    cv.cvtColor(source, grey, channels === 3 ? cv.COLOR_RGB2GRAY : cv.COLOR_RGBA2GRAY);
    return channels === 3 ? grey : withAlphaOf(source, grey, scope, cv);
  },

  crop(source, { left = 0, top = 0, width = source.cols, height = source.rows }, scope, cv) {
    const part = scope.own(source.roi(new cv.Rect(left, top, width, height)));
    const cropped = scope.mat();
    part.copyTo(cropped);
    return cropped;
  },

  flip(source, { direction = FlipDirection.HORIZONTAL }, scope, cv) {
    const flipped = scope.mat();
    cv.flip(source, flipped, flipCode(direction));
    return flipped;
  },

  rotate(source, { angle = 0 }, scope, cv) {
    const codes = [undefined, cv.ROTATE_90_CLOCKWISE, cv.ROTATE_180, cv.ROTATE_90_COUNTERCLOCKWISE];
    const code = codes[quarterTurns(angle) ?? 0];
    if (code === undefined) return source;
    const rotated = scope.mat();
    cv.rotate(source, rotated, code);
    return rotated;
  },
};

/** Proto field names of the operations that this service does: "gaussian_blur". */
export const filterOperations: readonly string[] = Object.keys(kernels).map(
  (name) => OperationSchema.fields.find(({ localName }) => localName === name)?.name ?? name,
);

/** Whether this service does the operation. */
export function isKernelCase(name: string | undefined): name is KernelCase {
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
  switch (operation.case) {
    case 'blur':
      return kernels.blur(source, operation.value, scope, cv);
    case 'gaussianBlur':
      return kernels.gaussianBlur(source, operation.value, scope, cv);
    case 'medianBlur':
      return kernels.medianBlur(source, operation.value, scope, cv);
    case 'edges':
      return kernels.edges(source, operation.value, scope, cv);
    case 'grayscale':
      return kernels.grayscale(source, operation.value, scope, cv);
    case 'crop':
      return kernels.crop(source, operation.value, scope, cv);
    case 'flip':
      return kernels.flip(source, operation.value, scope, cv);
    case 'rotate':
      return kernels.rotate(source, operation.value, scope, cv);
    default:
      // Refused by `validate.ts`, before anything is decoded.
      throw new Error(`no kernel for the operation ${operation.case}`);
  }
}

/** As OpenCV's own choice for 8-bit images: three sigma to either side, and odd. */
function gaussianSize(sigma: number): number {
  return Math.min(255, Math.round(6 * sigma + 1) | 1);
}

/** OpenCV: 0 turns over the x-axis (top and bottom change places), 1 over the y-axis, -1 over both. */
function flipCode(direction: FlipDirection): number {
  if (direction === FlipDirection.VERTICAL) return 0;
  return direction === FlipDirection.BOTH ? -1 : 1;
}

/** Filters the colours of an image, its alpha kept. */
function onColours(
  source: Mat,
  scope: MatScope,
  cv: OpenCv,
  filter: (colours: Mat, target: Mat) => void,
): Mat {
  const filtered = scope.mat();
  if (source.channels() % 2 === 1) {
    filter(source, filtered);
    return filtered;
  }
  const colours = withoutAlpha(source, scope, cv);
  filter(colours, filtered);
  scope.free(colours);
  return withAlphaOf(source, filtered, scope, cv);
}

/** The colours in OpenCV's own order. Where two channels have gradients of equal size, Canny takes the first. */
function toBgr(source: Mat, scope: MatScope, cv: OpenCv): Mat {
  const channels = source.channels();
  if (channels === 1) return source;
  if (channels === 2) return withoutAlpha(source, scope, cv);
  const bgr = scope.mat();
  cv.cvtColor(source, bgr, channels === 3 ? cv.COLOR_RGB2BGR : cv.COLOR_RGBA2BGR);
  // Canny needs five times this much.
  scope.free(source);
  return bgr;
}

/** The grey of grey and alpha, the RGB of RGBA. */
function withoutAlpha(source: Mat, scope: MatScope, cv: OpenCv): Mat {
  if (source.channels() === 4) {
    const colours = scope.mat();
    cv.cvtColor(source, colours, cv.COLOR_RGBA2RGB);
    return colours;
  }
  const grey = scope.sized(source.rows, source.cols, 1);
  cv.mixChannels(scope.vector(source), scope.vector(grey), [0, 0]);
  return grey;
}

/** `colours` (1 or 3 channels) with the alpha (the last channel) of `source`. */
function withAlphaOf(source: Mat, colours: Mat, scope: MatScope, cv: OpenCv): Mat {
  const alpha = source.channels() - 1;
  const sources = scope.vector(source);
  if (colours.channels() === 3) {
    const joined = scope.mat();
    cv.cvtColor(colours, joined, cv.COLOR_RGB2RGBA);
    cv.mixChannels(sources, scope.vector(joined), [alpha, 3]);
    return joined;
  }
  const joined = scope.sized(colours.rows, colours.cols, 2);
  const targets = scope.vector(joined);
  cv.mixChannels(scope.vector(colours), targets, [0, 0]);
  cv.mixChannels(sources, targets, [alpha, 1]);
  return joined;
}
