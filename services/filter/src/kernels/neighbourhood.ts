/** Blurs, sharpening and convolution. */

import { floatMat } from '../mats.ts';
import { type Kernel, onColours } from './kernel.ts';

export const blur: Kernel<'blur'> = (source, { size = 5 }, scope, cv) =>
  onColours(source, scope, cv, (colours, target) => cv.blur(colours, target, new cv.Size(size, size)));

export const gaussianBlur: Kernel<'gaussianBlur'> = (source, { size, sigma }, scope, cv) => {
  const side = size ?? (sigma === undefined ? 5 : gaussianSize(sigma));
  // A sigma of 0 lets OpenCV derive it from the size, by the formula of the API.
  return onColours(source, scope, cv, (colours, target) =>
    cv.GaussianBlur(colours, target, new cv.Size(side, side), sigma ?? 0, sigma ?? 0, cv.BORDER_DEFAULT),
  );
};

export const medianBlur: Kernel<'medianBlur'> = (source, { size = 5 }, scope, cv) =>
  onColours(source, scope, cv, (colours, target) => cv.medianBlur(colours, target, size));

export const bilateral: Kernel<'bilateral'> = (
  source,
  { diameter = 9, sigmaColor = 75, sigmaSpace = 75 },
  scope,
  cv,
) =>
  onColours(source, scope, cv, (colours, target) =>
    cv.bilateralFilter(colours, target, diameter, sigmaColor, sigmaSpace, cv.BORDER_DEFAULT),
  );

export const sharpen: Kernel<'sharpen'> = (source, { amount = 1, radius = 1, threshold = 0 }, scope, cv) =>
  onColours(source, scope, cv, (colours, target) => {
    const side = gaussianSize(radius);
    const smooth = scope.mat();
    cv.GaussianBlur(colours, smooth, new cv.Size(side, side), radius, radius, cv.BORDER_DEFAULT);
    if (threshold === 0) {
      cv.addWeighted(colours, 1 + amount, smooth, -amount, 0, target);
      return;
    }
    const sharp = scope.mat();
    cv.addWeighted(colours, 1 + amount, smooth, -amount, 0, sharp);
    const difference = scope.mat();
    cv.absdiff(colours, smooth, difference);
    // Channel by channel: 255 where the sample is changed.
    const isChanged = scope.mat();
    cv.threshold(difference, isChanged, threshold, 255, cv.THRESH_BINARY);
    const isKept = scope.mat();
    cv.bitwise_not(isChanged, isKept);
    const changed = scope.mat();
    cv.bitwise_and(sharp, isChanged, changed);
    const kept = scope.mat();
    cv.bitwise_and(colours, isKept, kept);
    cv.bitwise_or(changed, kept, target);
  });

export const convolve: Kernel<'convolve'> = (
  source,
  { kernel, width = 3, height = 3, divisor = 1, offset = 0 },
  scope,
  cv,
) => {
  const weights = scope.own(
    floatMat(
      cv,
      height,
      width,
      kernel.map((weight) => weight / divisor),
    ),
  );
  return onColours(source, scope, cv, (colours, target) =>
    cv.filter2D(colours, target, -1, weights, new cv.Point(-1, -1), offset, cv.BORDER_DEFAULT),
  );
};

export const emboss: Kernel<'emboss'> = (source, { amount = 1 }, scope, cv) => {
  const relief = [-2, -1, 0, -1, 0, 1, 0, 1, 2].map((weight) => weight * amount);
  relief[4] = 1;
  const weights = scope.own(floatMat(cv, 3, 3, relief));
  return onColours(source, scope, cv, (colours, target) =>
    cv.filter2D(colours, target, -1, weights, new cv.Point(-1, -1), 0, cv.BORDER_DEFAULT),
  );
};

/** As OpenCV's own choice for 8-bit images: three sigma to either side, and odd. */
export function gaussianSize(sigma: number): number {
  return Math.min(255, Math.round(6 * sigma + 1) | 1);
}
