/** Rectangles inside an image: what is cut out, and where something smaller is put. */
import { type Crop, Gravity } from '@imagemesh/api';
import { invalidField } from '@imagemesh/rpc';
import type { Size } from '../info.ts';
import type { Rect } from '../orientation.ts';
import { outOfBounds, roundSide } from './checks.ts';

/** A rectangle as operations give it; what is unset reaches as far as the image. */
export interface Region {
  readonly left?: number | undefined;
  readonly top?: number | undefined;
  readonly width?: number | undefined;
  readonly height?: number | undefined;
}

/** The rectangle of an operation on a part of the image. OPERATION_OUT_OF_BOUNDS where it is not inside. */
export function regionRect(size: Size, region: Region, path = 'region'): Rect {
  const { left = 0, top = 0 } = region;
  const { width = Math.max(1, size.width - left), height = Math.max(1, size.height - top) } = region;
  checkSpan(left, width, size.width, path, 'left', 'width');
  checkSpan(top, height, size.height, path, 'top', 'height');
  return { left, top, width, height };
}

/**
 * The rectangle that a Crop keeps. For a gravity that looks at the pixels, its size is right and its place the middle.
 * OPERATION_OUT_OF_BOUNDS where it is not inside.
 */
export function cropRect(size: Size, crop: Crop, path = 'crop'): Rect {
  const { left, top, gravity, focalX, focalY } = crop;
  const cut = cropSize(size, crop);
  if (gravity !== undefined && gravity !== Gravity.UNSPECIFIED) {
    checkSpan(0, cut.width, size.width, path, 'left', 'width');
    checkSpan(0, cut.height, size.height, path, 'top', 'height');
    return { ...gravityPlace(size, cut, gravity), ...cut };
  }
  if (focalX !== undefined || focalY !== undefined) {
    checkSpan(0, cut.width, size.width, path, 'left', 'width');
    checkSpan(0, cut.height, size.height, path, 'top', 'height');
    return {
      left: around(focalX ?? 0.5, cut.width, size.width),
      top: around(focalY ?? 0.5, cut.height, size.height),
      ...cut,
    };
  }
  return regionRect(size, { left: left ?? 0, top: top ?? 0, ...cut }, path);
}

/** Whether the place of the crop depends on the pixels. */
export function isSmartGravity(gravity: Gravity | undefined): boolean {
  return gravity === Gravity.ATTENTION || gravity === Gravity.ENTROPY;
}

function cropSize(size: Size, { left = 0, top = 0, width, height, aspectRatio }: Crop): Size {
  if (aspectRatio === undefined) {
    return {
      width: width ?? Math.max(1, size.width - left),
      height: height ?? Math.max(1, size.height - top),
    };
  }
  if (width !== undefined) return { width, height: height ?? roundSide(width / aspectRatio) };
  if (height !== undefined) return { width: roundSide(height * aspectRatio), height };
  const [roomX, roomY] = [Math.max(1, size.width - left), Math.max(1, size.height - top)];
  return roomX <= roomY * aspectRatio
    ? { width: roomX, height: Math.min(roomY, roundSide(roomX / aspectRatio)) }
    : { width: Math.min(roomX, roundSide(roomY * aspectRatio)), height: roomY };
}

/** A span of that length with the point in its middle, as far as the ends allow. */
function around(point: number, length: number, side: number): number {
  const start = Math.round(point * side - length / 2);
  return Math.min(side - length, Math.max(0, start));
}

/**
 * Where something of the size `inner` begins inside `outer`; negative where it is larger. In the middle, half a pixel goes
 * right and down, as in sharp. The gravities that look at pixels count as the middle.
 */
export function gravityPlace(
  outer: Size,
  inner: Size,
  gravity: Gravity,
): { readonly left: number; readonly top: number } {
  const [x, y] = towards(gravity);
  return {
    left: place(outer.width - inner.width, x),
    top: place(outer.height - inner.height, y),
  };
}

/** -1 left or top, 0 the middle, 1 right or bottom. */
export function towards(gravity: Gravity): readonly [x: -1 | 0 | 1, y: -1 | 0 | 1] {
  switch (gravity) {
    case Gravity.TOP:
      return [0, -1];
    case Gravity.TOP_RIGHT:
      return [1, -1];
    case Gravity.RIGHT:
      return [1, 0];
    case Gravity.BOTTOM_RIGHT:
      return [1, 1];
    case Gravity.BOTTOM:
      return [0, 1];
    case Gravity.BOTTOM_LEFT:
      return [-1, 1];
    case Gravity.LEFT:
      return [-1, 0];
    case Gravity.TOP_LEFT:
      return [-1, -1];
    default:
      return [0, 0];
  }
}

function place(room: number, towards: -1 | 0 | 1): number {
  if (towards === 0) return Math.floor((room + 1) / 2);
  return towards === 1 ? room : 0;
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
  throw outOfBounds(field, description, {
    [startName]: String(start),
    [lengthName]: String(length),
    side: String(side),
  });
}
