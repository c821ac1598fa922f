/**
 * Mirrors and quarter turns: the eight ways to lay a rectangle onto itself (the dihedral group D4).
 *
 * Every EXIF orientation, flip and quarter turn is one of them, and any sequence of these is again one, so a whole
 * sequence costs one pass over the pixels.
 */
import type { Size } from './info.ts';

/** First mirror left and right (if `flop`), then turn clockwise by that many quarters. */
export interface Turn {
  readonly flop: boolean;
  readonly quarters: 0 | 1 | 2 | 3;
}

/** A rectangle of pixels. */
export interface Rect extends Size {
  readonly left: number;
  readonly top: number;
}

export const upright: Turn = { flop: false, quarters: 0 };

/** What makes an image of that EXIF orientation upright (EXIF 2.32 §4.6.4, tag 0x0112). */
export function turnOfOrientation(orientation: number): Turn {
  switch (orientation) {
    case 2:
      return { flop: true, quarters: 0 };
    case 3:
      return { flop: false, quarters: 2 };
    case 4:
      return { flop: true, quarters: 2 };
    case 5:
      return { flop: true, quarters: 3 };
    case 6:
      return { flop: false, quarters: 1 };
    case 7:
      return { flop: true, quarters: 1 };
    case 8:
      return { flop: false, quarters: 3 };
    default:
      return upright;
  }
}

/** The one turn that does `first`, then `second`: a mirror reverses the sense of the turns before it. */
export function thenTurn(first: Turn, second: Turn): Turn {
  const before = second.flop ? -first.quarters : first.quarters;
  return { flop: first.flop !== second.flop, quarters: modulo4(before + second.quarters) };
}

/** The turn that undoes this one. A mirrored turn is its own inverse. */
export function inverseTurn(turn: Turn): Turn {
  return turn.flop ? turn : { flop: false, quarters: modulo4(-turn.quarters) };
}

export function isUpright({ flop, quarters }: Turn): boolean {
  return !flop && quarters === 0;
}

export function turnedSize({ width, height }: Size, { quarters }: Turn): Size {
  return quarters % 2 === 0 ? { width, height } : { width: height, height: width };
}

/** Where a rectangle of an image of that size lies once the image is turned. */
export function turnedRect(rect: Rect, size: Size, turn: Turn): Rect {
  const { width, height } = rect;
  const left = turn.flop ? size.width - rect.left - width : rect.left;
  const { top } = rect;
  switch (turn.quarters) {
    case 0:
      return { left, top, width, height };
    case 1:
      return { left: size.height - top - height, top: left, width: height, height: width };
    case 2:
      return { left: size.width - left - width, top: size.height - top - height, width, height };
    case 3:
      return { left: top, top: size.width - left - width, width: height, height: width };
    default:
      return turn.quarters satisfies never;
  }
}

function modulo4(quarters: number): 0 | 1 | 2 | 3 {
  switch (((quarters % 4) + 4) % 4) {
    case 1:
      return 1;
    case 2:
      return 2;
    case 3:
      return 3;
    default:
      return 0;
  }
}
