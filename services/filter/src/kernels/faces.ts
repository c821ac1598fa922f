/** Operations on the faces of an image. */
import { FaceRedaction } from '@imagemesh/api';
import { around, findFaces, padFace } from '../faces.ts';
import type { MatScope } from '../mat-scope.ts';
import type { Mat, OpenCv } from '../opencv.ts';
import { type Kernel, onColours } from './kernel.ts';

/** Colours left of a face, across and down. */
const side = 8;

export const redactFaces: Kernel<'redactFaces'> = (source, value, scope, cv) => {
  const { method = FaceRedaction.BLUR, padding = 20 } = value;
  const faces = findFaces(source, value, scope, cv);
  if (faces.length === 0) return source;
  return onColours(source, scope, cv, (colours, target) => {
    colours.copyTo(target);
    for (const face of faces) {
      const rect = padFace(face, padding, sizeOf(source));
      redact(
        scope.own(target.roi(new cv.Rect(rect.left, rect.top, rect.width, rect.height))),
        method,
        scope,
        cv,
      );
    }
  });
};

export const cropToFaces: Kernel<'cropToFaces'> = (source, value, scope, cv) => {
  const { padding = 50 } = value;
  const size = sizeOf(source);
  const faces = findFaces(source, value, scope, cv).map((face) => padFace(face, padding, size));
  const rect = around(faces, size);
  if (rect === undefined) return source;
  const cropped = scope.mat();
  scope.own(source.roi(new cv.Rect(rect.left, rect.top, rect.width, rect.height))).copyTo(cropped);
  return cropped;
};

function redact(part: Mat, method: FaceRedaction, scope: MatScope, cv: OpenCv): void {
  if (method === FaceRedaction.BLACK) {
    part.setTo(new cv.Scalar(0, 0, 0, 0));
    return;
  }
  const means = scope.mat();
  cv.resize(part, means, new cv.Size(side, side), 0, 0, cv.INTER_AREA);
  const redacted = scope.mat();
  const interpolation = method === FaceRedaction.PIXELATE ? cv.INTER_NEAREST : cv.INTER_LINEAR;
  cv.resize(means, redacted, new cv.Size(part.cols, part.rows), 0, 0, interpolation);
  redacted.copyTo(part);
}

function sizeOf({ cols, rows }: Mat) {
  return { width: cols, height: rows };
}
