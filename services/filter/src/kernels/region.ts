/** Operations on a rectangle of the image. */
import { type Rect, regionRect } from '@imagemesh/image';
import type { MatScope } from '../mat-scope.ts';
import type { Mat, OpenCv } from '../opencv.ts';
import { type Kernel, onColours } from './kernel.ts';
import { gaussianSize } from './neighbourhood.ts';

export const pixelate: Kernel<'pixelate'> = (source, value, scope, cv) => {
  const { size = 16 } = value;
  const { left, top, width, height } = regionRect(
    { width: source.cols, height: source.rows },
    value,
    'pixelate',
  );
  const result = scope.mat();
  source.copyTo(result);
  // Whole squares, and what is left at the right and the bottom: only whole numbers of pixels have exact means.
  const [fullWidth, fullHeight] = [width - (width % size), height - (height % size)];
  for (const [x, blockWidth, spanX] of [
    [0, size, fullWidth],
    [fullWidth, width % size, width % size],
  ] as const) {
    for (const [y, blockHeight, spanY] of [
      [0, size, fullHeight],
      [fullHeight, height % size, height % size],
    ] as const) {
      if (spanX === 0 || spanY === 0) continue;
      const rect = new cv.Rect(left + x, top + y, spanX, spanY);
      const from = scope.own(source.roi(rect));
      const means = scope.mat();
      const counts = new cv.Size(spanX / blockWidth, spanY / blockHeight);
      cv.resize(from, means, counts, 0, 0, cv.INTER_AREA);
      const squares = scope.mat();
      cv.resize(means, squares, new cv.Size(spanX, spanY), 0, 0, cv.INTER_NEAREST);
      squares.copyTo(scope.own(result.roi(rect)));
    }
  }
  return result;
};

export const blurRegion: Kernel<'blurRegion'> = (source, value, scope, cv) => {
  const { sigma = 10 } = value;
  const side = gaussianSize(sigma);
  const region = regionRect({ width: source.cols, height: source.rows }, value, 'blur_region');
  return onColours(source, scope, cv, (colours, target) => {
    colours.copyTo(target);
    const { outer, inner } = withSurroundings(region, (side - 1) / 2, colours);
    // A copy: on a part of a Mat, OpenCV takes a less exact way.
    const around = copyOf(colours, outer, scope, cv);
    const blurred = scope.mat();
    cv.GaussianBlur(around, blurred, new cv.Size(side, side), sigma, sigma, cv.BORDER_DEFAULT);
    scope.own(blurred.roi(rectOf(inner, cv))).copyTo(scope.own(target.roi(rectOf(region, cv))));
  });
};

/** The rectangle with as many pixels around it as the image has and the kernel reaches, and where it lies in that. */
function withSurroundings(
  { left, top, width, height }: Rect,
  reach: number,
  { cols, rows }: Mat,
): { readonly outer: Rect; readonly inner: Rect } {
  const outerLeft = Math.max(0, left - reach);
  const outerTop = Math.max(0, top - reach);
  const outer = {
    left: outerLeft,
    top: outerTop,
    width: Math.min(cols, left + width + reach) - outerLeft,
    height: Math.min(rows, top + height + reach) - outerTop,
  };
  return { outer, inner: { left: left - outerLeft, top: top - outerTop, width, height } };
}

function copyOf(source: Mat, rect: Rect, scope: MatScope, cv: OpenCv): Mat {
  const copy = scope.mat();
  scope.own(source.roi(rectOf(rect, cv))).copyTo(copy);
  return copy;
}

function rectOf({ left, top, width, height }: Rect, cv: OpenCv) {
  return new cv.Rect(left, top, width, height);
}
