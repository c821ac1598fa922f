/** Thresholds and morphology. */
import { AdaptiveMethod, MorphologyKind, MorphologyShape, ThresholdType } from '@imagemesh/api';
import type { OpenCv } from '../opencv.ts';
import { type Kernel, onColours, onGrey } from './kernel.ts';

export const threshold: Kernel<'threshold'> = (
  source,
  { value = 127, maximum = 255, type = ThresholdType.BINARY, otsu = false },
  scope,
  cv,
) =>
  onGrey(source, scope, cv, (grey, target) =>
    cv.threshold(grey, target, value, maximum, typeOf(type, cv) | (otsu ? cv.THRESH_OTSU : 0)),
  );

export const adaptiveThreshold: Kernel<'adaptiveThreshold'> = (
  source,
  { method = AdaptiveMethod.MEAN, size = 11, offset = 2, inverse = false },
  scope,
  cv,
) => {
  const mean = method === AdaptiveMethod.GAUSSIAN ? cv.ADAPTIVE_THRESH_GAUSSIAN_C : cv.ADAPTIVE_THRESH_MEAN_C;
  const type = inverse ? cv.THRESH_BINARY_INV : cv.THRESH_BINARY;
  return onGrey(source, scope, cv, (grey, target) =>
    cv.adaptiveThreshold(grey, target, 255, mean, type, size, offset),
  );
};

export const morphology: Kernel<'morphology'> = (
  source,
  { kind = MorphologyKind.UNSPECIFIED, shape = MorphologyShape.RECTANGLE, size = 3, iterations = 1 },
  scope,
  cv,
) => {
  const element = scope.own(cv.getStructuringElement(shapeOf(shape, cv), new cv.Size(size, size)));
  return onColours(source, scope, cv, (colours, target) =>
    cv.morphologyEx(colours, target, kindOf(kind, cv), element, new cv.Point(-1, -1), iterations),
  );
};

function typeOf(type: ThresholdType, cv: OpenCv): number {
  switch (type) {
    case ThresholdType.BINARY_INVERSE:
      return cv.THRESH_BINARY_INV;
    case ThresholdType.TRUNCATE:
      return cv.THRESH_TRUNC;
    case ThresholdType.TO_ZERO:
      return cv.THRESH_TOZERO;
    case ThresholdType.TO_ZERO_INVERSE:
      return cv.THRESH_TOZERO_INV;
    default:
      return cv.THRESH_BINARY;
  }
}

function shapeOf(shape: MorphologyShape, cv: OpenCv): number {
  if (shape === MorphologyShape.CROSS) return cv.MORPH_CROSS;
  return shape === MorphologyShape.ELLIPSE ? cv.MORPH_ELLIPSE : cv.MORPH_RECT;
}

function kindOf(kind: MorphologyKind, cv: OpenCv): number {
  switch (kind) {
    case MorphologyKind.DILATE:
      return cv.MORPH_DILATE;
    case MorphologyKind.OPEN:
      return cv.MORPH_OPEN;
    case MorphologyKind.CLOSE:
      return cv.MORPH_CLOSE;
    case MorphologyKind.GRADIENT:
      return cv.MORPH_GRADIENT;
    case MorphologyKind.TOP_HAT:
      return cv.MORPH_TOPHAT;
    case MorphologyKind.BLACK_HAT:
      return cv.MORPH_BLACKHAT;
    default:
      // Required and closed by its rules: what is left is to erode.
      return cv.MORPH_ERODE;
  }
}
