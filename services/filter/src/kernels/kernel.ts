/**
 * What all kernels share. A kernel works on Mats of 8-bit samples with 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA)
 * channels. Filters work on the colours alone and put the alpha plane back as it was: OpenCV knows no alpha, and many of
 * its functions no image of two channels.
 *
 * No OpenCV function is called with the same Mat as source and target: such calls leak.
 */
import type { Operation } from '@imagemesh/api';
import type { MatScope } from '../mat-scope.ts';
import type { Mat, OpenCv } from '../opencv.ts';

type Step = Exclude<Operation['operation'], { case: undefined }>;

export type OperationCase = Step['case'];

export type ValueOf<Case extends OperationCase> = Extract<Step, { case: Case }>['value'];

/** `source` belongs to the scope; the Mat returned may be `source` itself. */
export type Kernel<Case extends OperationCase> = (
  source: Mat,
  value: ValueOf<Case>,
  scope: MatScope,
  cv: OpenCv,
) => Mat;

/** Filters the colours of an image, its alpha kept. */
export function onColours(
  source: Mat,
  scope: MatScope,
  cv: OpenCv,
  filter: (colours: Mat, target: Mat) => void,
): Mat {
  const filtered = scope.mat();
  if (!hasAlpha(source)) {
    filter(source, filtered);
    return filtered;
  }
  const colours = withoutAlpha(source, scope, cv);
  filter(colours, filtered);
  scope.free(colours);
  return withAlphaOf(source, filtered, scope, cv);
}

/** Filters the grey image of an image (as Grayscale makes it), its alpha kept. */
export function onGrey(
  source: Mat,
  scope: MatScope,
  cv: OpenCv,
  filter: (grey: Mat, target: Mat) => void,
): Mat {
  const filtered = scope.mat();
  const grey = toGrey(source, scope, cv);
  filter(grey, filtered);
  if (grey !== source) scope.free(grey);
  return hasAlpha(source) ? withAlphaOf(source, filtered, scope, cv) : filtered;
}

export function hasAlpha(mat: Mat): boolean {
  return mat.channels() % 2 === 0;
}

/** One channel, without alpha; `source` itself where it is that already. */
export function toGrey(source: Mat, scope: MatScope, cv: OpenCv): Mat {
  const channels = source.channels();
  if (channels === 1) return source;
  if (channels === 2) return withoutAlpha(source, scope, cv);
  const grey = scope.mat();
  cv.cvtColor(source, grey, channels === 3 ? cv.COLOR_RGB2GRAY : cv.COLOR_RGBA2GRAY);
  return grey;
}

/** The grey of grey and alpha, the RGB of RGBA. */
export function withoutAlpha(source: Mat, scope: MatScope, cv: OpenCv): Mat {
  if (source.channels() === 4) {
    const colours = scope.mat();
    cv.cvtColor(source, colours, cv.COLOR_RGBA2RGB);
    return colours;
  }
  return channelOf(source, 0, scope, cv);
}

/** One channel as a Mat of its own. */
export function channelOf(source: Mat, channel: number, scope: MatScope, cv: OpenCv): Mat {
  const plane = scope.sized(source.rows, source.cols, 1);
  cv.mixChannels(scope.vector(source), scope.vector(plane), [channel, 0]);
  return plane;
}

/** `colours` (1 or 3 channels) with the alpha (the last channel) of `source`. */
export function withAlphaOf(source: Mat, colours: Mat, scope: MatScope, cv: OpenCv): Mat {
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
