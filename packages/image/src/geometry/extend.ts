/** Pixels added around an image. */
import { type Extend, Gravity } from '@imagemesh/api';
import type { Size } from '../info.ts';
import { gravityPlace } from './place.ts';

/** Pixels added at each side. */
export interface Sides {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** What an Extend adds to an image of that size. */
export function extendSides(size: Size, extend: Extend): Sides {
  const { left = 0, top = 0, right = 0, bottom = 0, width, height, gravity } = extend;
  if (width === undefined && height === undefined) return { left, top, right, bottom };
  const box = {
    width: Math.max(size.width, width ?? 0),
    height: Math.max(size.height, height ?? 0),
  };
  return sidesAround(size, box, gravity ?? Gravity.CENTER);
}

/** What makes `box` of an image of that size, which lies where the gravity says. */
export function sidesAround(size: Size, box: Size, gravity: Gravity): Sides {
  // In the middle the odd pixel is added at the right and the bottom: the image begins at the lower half.
  const [roomX, roomY] = [box.width - size.width, box.height - size.height];
  const place = gravityPlace(box, size, gravity);
  const left = place.left === Math.floor((roomX + 1) / 2) ? Math.floor(roomX / 2) : place.left;
  const top = place.top === Math.floor((roomY + 1) / 2) ? Math.floor(roomY / 2) : place.top;
  return { left, top, right: roomX - left, bottom: roomY - top };
}
