/** The quadrilateral of a Perspective. */
import type { Perspective } from '@imagemesh/api';
import { invalidField } from '@imagemesh/rpc';
import type { Size } from '../info.ts';
import { roundSide } from './checks.ts';

type Corner = readonly [x: number, y: number];

/** The size of the result: as given, else the longer of two opposite edges. INVALID_REQUEST for a bad quadrilateral. */
export function perspectiveSize(
  { corners, width, height }: Pick<Perspective, 'corners' | 'width' | 'height'>,
  path = 'perspective',
): Size {
  const [topLeft, topRight, bottomRight, bottomLeft] = cornersOf(corners, path);
  const longer = (a: number, b: number) => roundSide(Math.max(a, b));
  return {
    width: width ?? longer(distance(topLeft, topRight), distance(bottomLeft, bottomRight)),
    height: height ?? longer(distance(topLeft, bottomLeft), distance(topRight, bottomRight)),
  };
}

function cornersOf(numbers: readonly number[], path: string): readonly [Corner, Corner, Corner, Corner] {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = numbers;
  if (numbers.length !== 8 || !numbers.every(Number.isFinite)) {
    throw invalidField(`${path}.corners`, 'must be 8 numbers');
  }
  const corners = [
    [a, b],
    [c, d],
    [e, f],
    [g, h],
  ] as const;
  // Convex, and clockwise on a screen: every corner turns right.
  const isConvex = corners.every((corner, at) => {
    const next = corners[(at + 1) % 4] ?? corner;
    const afterNext = corners[(at + 2) % 4] ?? corner;
    return turn(corner, next, afterNext) > 0;
  });
  if (!isConvex) {
    throw invalidField(
      `${path}.corners`,
      'must be a convex quadrilateral: top left, top right, bottom right, bottom left',
    );
  }
  return corners;
}

function turn([ax, ay]: Corner, [bx, by]: Corner, [cx, cy]: Corner): number {
  return (bx - ax) * (cy - by) - (by - ay) * (cx - bx);
}

function distance([ax, ay]: Corner, [bx, by]: Corner): number {
  return Math.hypot(bx - ax, by - ay);
}
