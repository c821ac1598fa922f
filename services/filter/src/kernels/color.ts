/** Operations on the colours of single pixels. */
import type { MatScope } from '../mat-scope.ts';
import { byteMat, floatMat } from '../mats.ts';
import type { Mat, OpenCv } from '../opencv.ts';
import { channelOf, hasAlpha, type Kernel, onColours, toGrey, withAlphaOf, withoutAlpha } from './kernel.ts';

export const grayscale: Kernel<'grayscale'> = (source, _value, scope, cv) => {
  if (source.channels() <= 2) return source;
  const grey = toGrey(source, scope, cv);
  return hasAlpha(source) ? withAlphaOf(source, grey, scope, cv) : grey;
};

export const adjust: Kernel<'adjust'> = (
  source,
  { brightness = 0, contrast = 0, gamma = 1, saturation = 0, hue = 0 },
  scope,
  cv,
) => {
  const levels = brightness !== 0 || contrast !== 0 || gamma !== 1;
  const turnsColour = (saturation !== 0 || hue !== 0) && source.channels() >= 3;
  if (!levels && !turnsColour) return source;
  return onColours(source, scope, cv, (colours, target) => {
    if (!levels) {
      transform(colours, colourMatrix(saturation, hue), target, scope, cv);
      return;
    }
    const table = scope.own(byteMat(cv, levelTable(brightness, contrast, gamma)));
    if (!turnsColour) {
      cv.LUT(colours, table, target);
      return;
    }
    const levelled = scope.mat();
    cv.LUT(colours, table, levelled);
    transform(levelled, colourMatrix(saturation, hue), target, scope, cv);
  });
};

export const invert: Kernel<'invert'> = (source, _value, scope, cv) =>
  onColours(source, scope, cv, (colours, target) => cv.bitwise_not(colours, target));

export const sepia: Kernel<'sepia'> = (source, { amount = 100 }, scope, cv) => {
  const rest = 1 - amount / 100;
  if (source.channels() >= 3) {
    return onColours(source, scope, cv, (colours, target) =>
      transform(colours, sepiaMatrix(rest), target, scope, cv),
    );
  }
  const grey = hasAlpha(source) ? withoutAlpha(source, scope, cv) : source;
  const colours = scope.mat();
  cv.cvtColor(grey, colours, cv.COLOR_GRAY2RGB);
  const result = scope.mat();
  transform(colours, sepiaMatrix(rest), result, scope, cv);
  return hasAlpha(source) ? withAlphaOf(source, result, scope, cv) : result;
};

export const equalize: Kernel<'equalize'> = (source, _value, scope, cv) =>
  onBrightness(source, scope, cv, (plane, target) => cv.equalizeHist(plane, target));

export const clahe: Kernel<'clahe'> = (source, { clipLimit = 2, tiles = 8 }, scope, cv) =>
  onBrightness(source, scope, cv, (plane, target) => {
    const equalizer = new cv.CLAHE(clipLimit, new cv.Size(tiles, tiles));
    try {
      equalizer.apply(plane, target);
    } finally {
      equalizer.delete();
    }
  });

/** Changes the Y of YCrCb, or the grey. */
function onBrightness(
  source: Mat,
  scope: MatScope,
  cv: OpenCv,
  change: (plane: Mat, target: Mat) => void,
): Mat {
  return onColours(source, scope, cv, (colours, target) => {
    if (colours.channels() === 1) {
      change(colours, target);
      return;
    }
    const parts = scope.mat();
    cv.cvtColor(colours, parts, cv.COLOR_RGB2YCrCb);
    const luma = channelOf(parts, 0, scope, cv);
    const changed = scope.mat();
    change(luma, changed);
    cv.mixChannels(scope.vector(changed), scope.vector(parts), [0, 0]);
    cv.cvtColor(parts, target, cv.COLOR_YCrCb2RGB);
  });
}

/** What each level becomes: brightness, contrast and gamma in one step, rounded once. */
function levelTable(brightness: number, contrast: number, gamma: number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, level) => {
    const brightened = level + 2.55 * brightness;
    const contrasted = 127.5 + (brightened - 127.5) * (1 + contrast / 100);
    const inside = Math.min(255, Math.max(0, contrasted));
    return Math.round(255 * (inside / 255) ** (1 / gamma));
  });
}

type Matrix = readonly (readonly [number, number, number])[];

function transform(source: Mat, matrix: Matrix, target: Mat, scope: MatScope, cv: OpenCv): void {
  cv.transform(source, target, scope.own(floatMat(cv, 3, 3, matrix.flat())));
}

/** Saturation, then hue. */
function colourMatrix(saturation: number, hue: number): Matrix {
  return product(hueMatrix((hue * Math.PI) / 180), saturationMatrix(1 + saturation / 100));
}

/** saturate() of W3C Filter Effects 1. */
function saturationMatrix(s: number): Matrix {
  return [
    [0.213 + 0.787 * s, 0.715 - 0.715 * s, 0.072 - 0.072 * s],
    [0.213 - 0.213 * s, 0.715 + 0.285 * s, 0.072 - 0.072 * s],
    [0.213 - 0.213 * s, 0.715 - 0.715 * s, 0.072 + 0.928 * s],
  ];
}

/** hue-rotate() of W3C Filter Effects 1. */
function hueMatrix(angle: number): Matrix {
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  return [
    [0.213 + cos * 0.787 - sin * 0.213, 0.715 - cos * 0.715 - sin * 0.715, 0.072 - cos * 0.072 + sin * 0.928],
    [0.213 - cos * 0.213 + sin * 0.143, 0.715 + cos * 0.285 + sin * 0.14, 0.072 - cos * 0.072 - sin * 0.283],
    [0.213 - cos * 0.213 - sin * 0.787, 0.715 - cos * 0.715 + sin * 0.715, 0.072 + cos * 0.928 + sin * 0.072],
  ];
}

/** sepia() of W3C Filter Effects 1; `rest` is what is left of the image's own colours, 0 to 1. */
function sepiaMatrix(rest: number): Matrix {
  return [
    [0.393 + 0.607 * rest, 0.769 - 0.769 * rest, 0.189 - 0.189 * rest],
    [0.349 - 0.349 * rest, 0.686 + 0.314 * rest, 0.168 - 0.168 * rest],
    [0.272 - 0.272 * rest, 0.534 - 0.534 * rest, 0.131 + 0.869 * rest],
  ];
}

function product(a: Matrix, b: Matrix): Matrix {
  const cell = (row: readonly number[], column: number) =>
    row.reduce((sum, value, at) => sum + value * (b[at]?.[column] ?? 0), 0);
  return a.map((row) => [cell(row, 0), cell(row, 1), cell(row, 2)] as const);
}
