/** Looks for faces, as DetectFaces in image_service.proto says. */
import type { FaceSearch } from '@imagemesh/api';
import type { Rect, Size } from '@imagemesh/image';
import { toGrey } from './kernels/kernel.ts';
import type { MatScope } from './mat-scope.ts';
import { type CascadeClassifier, loadFaceCascade, type Mat, type OpenCv } from './opencv.ts';

/** Longer side of the image that is searched: what the search takes has a bound, whatever the image's size. */
const searchSide = 1024;

/** Side of the window that the cascade was trained with. */
const windowSide = 20;

const scaleFactor = 1.1;

const maxFaces = 1000;

const cascades = new WeakMap<OpenCv, CascadeClassifier>();

/** The faces, the largest first. */
export function findFaces(
  source: Mat,
  { minSize = 4, minNeighbors = 4 }: Pick<FaceSearch, 'minSize' | 'minNeighbors'>,
  scope: MatScope,
  cv: OpenCv,
): readonly Rect[] {
  const whole = toGrey(source, scope, cv);
  const { cols, rows } = source;
  const scale = Math.min(1, searchSide / Math.max(cols, rows));
  const grey = scale === 1 ? whole : scope.mat();
  if (scale < 1) cv.resize(whole, grey, new cv.Size(0, 0), scale, scale, cv.INTER_AREA);
  const smallest = Math.max(windowSide, Math.round((Math.max(grey.cols, grey.rows) * minSize) / 100));
  const found = new cv.RectVector();
  try {
    cascadeOf(cv).detectMultiScale(
      grey,
      found,
      scaleFactor,
      minNeighbors,
      0,
      new cv.Size(smallest, smallest),
      new cv.Size(0, 0),
    );
    return Array.from({ length: found.size() }, (_, index) => found.get(index))
      .map(({ x, y, width, height }) => {
        const [left, top] = [Math.floor(x / scale), Math.floor(y / scale)];
        return {
          left,
          top,
          width: Math.min(cols - left, Math.ceil(width / scale)),
          height: Math.min(rows - top, Math.ceil(height / scale)),
        };
      })
      .sort((a, b) => b.width - a.width || a.top - b.top || a.left - b.left)
      .slice(0, maxFaces);
  } finally {
    found.delete();
  }
}

/** The face with `percent` of its size on each side, as far as the image reaches. */
export function padFace({ left, top, width, height }: Rect, percent: number, size: Size): Rect {
  const [across, down] = [Math.round((width * percent) / 100), Math.round((height * percent) / 100)];
  return span(left - across, top - down, left + width + across, top + height + down, size);
}

/** The smallest rectangle around all of them; undefined: there are none. */
export function around(rects: readonly Rect[], size: Size): Rect | undefined {
  if (rects.length === 0) return undefined;
  return span(
    Math.min(...rects.map(({ left }) => left)),
    Math.min(...rects.map(({ top }) => top)),
    Math.max(...rects.map(({ left, width }) => left + width)),
    Math.max(...rects.map(({ top, height }) => top + height)),
    size,
  );
}

function span(left: number, top: number, right: number, bottom: number, size: Size): Rect {
  const [x, y] = [Math.max(0, left), Math.max(0, top)];
  return {
    left: x,
    top: y,
    width: Math.min(size.width, right) - x,
    height: Math.min(size.height, bottom) - y,
  };
}

function cascadeOf(cv: OpenCv): CascadeClassifier {
  const known = cascades.get(cv);
  if (known !== undefined) return known;
  const cascade = loadFaceCascade(cv);
  cascades.set(cv, cascade);
  return cascade;
}
