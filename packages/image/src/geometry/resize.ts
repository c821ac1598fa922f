/** How a Resize comes about. */
import { Fit, type Resize } from '@imagemesh/api';
import { invalidField } from '@imagemesh/rpc';
import type { Size } from '../info.ts';
import { roundSide } from './checks.ts';

/** The image is scaled to exactly `scaled`, then cut or filled up to `result`. */
export interface ResizePlan {
  readonly scaled: Size;
  readonly result: Size;
}

/** How a resize of an image of this size comes about. Sides round to the nearest px and are at least 1. */
export function planResize(size: Size, resize: Resize, path = 'resize'): ResizePlan {
  const { percent, withoutEnlargement = false, withoutReduction = false } = resize;
  const clamp = (scaled: Size) => clampScale(scaled, size, withoutEnlargement, withoutReduction);
  if (percent !== undefined) return same(clamp(byPercent(size, percent, resize, path)));

  const width = side(resize.width, resize.dpr, `${path}.width`);
  const height = side(resize.height, resize.dpr, `${path}.height`);
  if (width === undefined || height === undefined) {
    if (width !== undefined) return same(clamp(toWidth(size, width)));
    if (height !== undefined) return same(clamp(toHeight(size, height)));
    throw invalidField(path, 'width, height or percent must be given');
  }
  const box = { width, height };
  // Whole numbers of at most 32 bits: the comparison is exact.
  const isWidthTighter = width * size.height <= height * size.width;
  const inside = () => clamp(isWidthTighter ? toWidth(size, width) : toHeight(size, height));
  const outside = () => clamp(isWidthTighter ? toHeight(size, height) : toWidth(size, width));
  switch (resize.fit ?? Fit.UNSPECIFIED) {
    case Fit.UNSPECIFIED:
    case Fit.FILL:
      return same({
        width: clampSide(width, size.width, withoutEnlargement, withoutReduction),
        height: clampSide(height, size.height, withoutEnlargement, withoutReduction),
      });
    case Fit.INSIDE:
      return same(inside());
    case Fit.OUTSIDE:
      return same(outside());
    case Fit.CONTAIN: {
      const scaled = inside();
      return { scaled, result: each(box, scaled, Math.max) };
    }
    case Fit.COVER: {
      const scaled = outside();
      return { scaled, result: each(box, scaled, Math.min) };
    }
    default:
      // Enums are open: a newer client may know more.
      throw invalidField(`${path}.fit`, 'is not a fit that this version knows');
  }
}

function same(scaled: Size): ResizePlan {
  return { scaled, result: scaled };
}

function byPercent({ width, height }: Size, percent: number, resize: Resize, path: string): Size {
  if (!(percent >= 0.01 && percent <= 10_000)) throw invalidField(`${path}.percent`, 'must be 0.01 to 10000');
  if (resize.width !== undefined || resize.height !== undefined) {
    throw invalidField(path, 'either width, height or both, or percent must be given');
  }
  return { width: roundSide((width * percent) / 100), height: roundSide((height * percent) / 100) };
}

/**
 * The ranges stand as protovalidate rules too; the formulas here must not depend on somebody having run them. The device
 * pixel ratio may take a side beyond the range: then the limits of the output say so.
 */
function side(value: number | undefined, dpr = 1, path = ''): number | undefined {
  if (value === undefined) return undefined;
  if (!Number.isInteger(value) || value < 1 || value > 65535) throw invalidField(path, 'must be 1 to 65535');
  if (!(dpr >= 0.1 && dpr <= 10)) throw invalidField(path.replace(/\w+$/, 'dpr'), 'must be 0.1 to 10');
  return roundSide(value * dpr);
}

/** The source's own size where the scale is not allowed. Both sides of `scaled` are of one scale. */
function clampScale(scaled: Size, size: Size, withoutEnlargement: boolean, withoutReduction: boolean): Size {
  const isLarger = scaled.width > size.width || scaled.height > size.height;
  const isSmaller = scaled.width < size.width || scaled.height < size.height;
  const { width, height } = size;
  return (withoutEnlargement && isLarger) || (withoutReduction && isSmaller) ? { width, height } : scaled;
}

function clampSide(
  wanted: number,
  own: number,
  withoutEnlargement: boolean,
  withoutReduction: boolean,
): number {
  if (withoutEnlargement && wanted > own) return own;
  return withoutReduction && wanted < own ? own : wanted;
}

function each(a: Size, b: Size, pick: (a: number, b: number) => number): Size {
  return { width: pick(a.width, b.width), height: pick(a.height, b.height) };
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
