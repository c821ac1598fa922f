/** Operations that move pixels. */
import { FlipDirection } from '@imagemesh/api';
import { cropRect, perspectiveSize, quarterTurns } from '@imagemesh/image';
import { floatMat } from '../mats.ts';
import type { Kernel } from './kernel.ts';

export const crop: Kernel<'crop'> = (source, value, scope, cv) => {
  const { left, top, width, height } = cropRect({ width: source.cols, height: source.rows }, value);
  const cropped = scope.mat();
  scope.own(source.roi(new cv.Rect(left, top, width, height))).copyTo(cropped);
  return cropped;
};

export const flip: Kernel<'flip'> = (source, { direction = FlipDirection.HORIZONTAL }, scope, cv) => {
  const flipped = scope.mat();
  cv.flip(source, flipped, flipCode(direction));
  return flipped;
};

export const rotate: Kernel<'rotate'> = (source, { angle = 0 }, scope, cv) => {
  const codes = [undefined, cv.ROTATE_90_CLOCKWISE, cv.ROTATE_180, cv.ROTATE_90_COUNTERCLOCKWISE];
  const code = codes[quarterTurns(angle) ?? 0];
  if (code === undefined) return source;
  const rotated = scope.mat();
  cv.rotate(source, rotated, code);
  return rotated;
};

export const perspective: Kernel<'perspective'> = (source, value, scope, cv) => {
  const { width, height } = perspectiveSize(value);
  const from = scope.own(floatMat(cv, 4, 1, value.corners, 2));
  const to = scope.own(floatMat(cv, 4, 1, [0, 0, width, 0, width, height, 0, height], 2));
  const warped = scope.mat();
  cv.warpPerspective(
    source,
    warped,
    scope.own(cv.getPerspectiveTransform(from, to)),
    new cv.Size(width, height),
    cv.INTER_LINEAR,
    cv.BORDER_CONSTANT,
    new cv.Scalar(0, 0, 0, 0),
  );
  return warped;
};

/** OpenCV: 0 turns over the x-axis (top and bottom change places), 1 over the y-axis, -1 over both. */
function flipCode(direction: FlipDirection): number {
  if (direction === FlipDirection.VERTICAL) return 0;
  return direction === FlipDirection.BOTH ? -1 : 1;
}
