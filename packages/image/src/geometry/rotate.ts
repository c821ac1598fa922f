/** The canvas of a turned image. */
import type { Size } from '../info.ts';
import { roundSide } from './checks.ts';

/** The size of the canvas that holds the image turned by that angle; equal to libvips' own rounding. */
export function rotatedSize({ width, height }: Size, angle: number): Size {
  const quarter = quarterTurns(angle);
  if (quarter !== undefined) return quarter % 2 === 0 ? { width, height } : { width: height, height: width };
  const radians = (angle * Math.PI) / 180;
  const cos = Math.abs(Math.cos(radians));
  const sin = Math.abs(Math.sin(radians));
  return { width: roundSide(width * cos + height * sin), height: roundSide(width * sin + height * cos) };
}

/** Clockwise quarter turns 0 to 3, if the angle is a multiple of 90 degrees. */
export function quarterTurns(angle: number): 0 | 1 | 2 | 3 | undefined {
  const turned = ((angle % 360) + 360) % 360;
  switch (turned) {
    case 0:
      return 0;
    case 90:
      return 1;
    case 180:
      return 2;
    case 270:
      return 3;
    default:
      return undefined;
  }
}
