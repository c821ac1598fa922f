/** Edges and derivatives. */
import type { MatScope } from '../mat-scope.ts';
import type { Mat, OpenCv } from '../opencv.ts';
import { type Kernel, onColours, withoutAlpha } from './kernel.ts';

export const edges: Kernel<'edges'> = (
  source,
  { lowThreshold = 100, highThreshold = 200, aperture = 3, l2Gradient = false },
  scope,
  cv,
) => {
  const colours = toBgr(source, scope, cv);
  const result = scope.mat();
  cv.Canny(colours, result, lowThreshold, highThreshold, aperture, l2Gradient);
  return result;
};

export const sobel: Kernel<'sobel'> = (source, { dx, dy = 0, size = 3, scale = 1 }, scope, cv) => {
  const across = dx ?? (dy > 0 ? 0 : 1);
  return onColours(source, scope, cv, (colours, target) => {
    const deep = scope.mat();
    cv.Sobel(colours, deep, cv.CV_16S, across, dy, size, scale, 0, cv.BORDER_DEFAULT);
    cv.convertScaleAbs(deep, target, 1, 0);
    scope.free(deep);
  });
};

export const laplacian: Kernel<'laplacian'> = (source, { size = 1, scale = 1 }, scope, cv) =>
  onColours(source, scope, cv, (colours, target) => {
    const deep = scope.mat();
    cv.Laplacian(colours, deep, cv.CV_16S, size, scale, 0, cv.BORDER_DEFAULT);
    cv.convertScaleAbs(deep, target, 1, 0);
    scope.free(deep);
  });

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
