/** Where pictures stand in the viewer: fit, zoom, pan. In device pixels. Pure. */

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Camera {
  /** Device pixels a pixel of the result; undefined: as large as fits. */
  readonly zoom: number | undefined;
  /** How far the middle of the picture is from the middle of the viewer. */
  readonly x: number;
  readonly y: number;
}

export interface Box extends Size {
  readonly x: number;
  readonly y: number;
}

export const FITTED: Camera = { zoom: undefined, x: 0, y: 0 };
export const MIN_ZOOM = 1 / 64;
export const MAX_ZOOM = 64;

/**
 * The most device pixels a pixel of a picture that fits: one CSS pixel, and in a very wide viewer, on a screen of 4K, up to 2.5.
 * `ratio`: device pixels a CSS pixel.
 */
export function mostScaleAtFit(view: Size, ratio: number): number {
  return ratio * Math.min(2.5, Math.max(1, Math.floor(view.width / ratio / 700) / 2));
}

/** The scale at which it just fits; small pictures are not made larger than `most`. */
export function fitScale(picture: Size, view: Size, most: number): number {
  return Math.min(most, view.width / picture.width, view.height / picture.height);
}

/** Where the result is. */
export function resultBox(result: Size, view: Size, camera: Camera, mostAtFit: number): Box {
  const scale = camera.zoom ?? fitScale(result, view, mostAtFit);
  return around(result, scale, view, camera);
}

/**
 * Where the original is: under the result where both have the same shape, so that they can be compared; else at the same
 * zoom, beginning from its own fit.
 */
export function originalBox(
  original: Size,
  result: Size,
  view: Size,
  camera: Camera,
  mostAtFit: number,
): Box {
  const isSameShape = Math.abs(original.width / original.height / (result.width / result.height) - 1) < 0.02;
  if (isSameShape) return resultBox(result, view, camera, mostAtFit);
  const ownFit = fitScale(original, view, mostAtFit);
  const scale =
    camera.zoom === undefined ? ownFit : ownFit * (camera.zoom / fitScale(result, view, mostAtFit));
  return around(original, scale, view, camera);
}

/** Zooms by a factor around a point, measured from the middle of the viewer. */
export function zoomAt(
  camera: Camera,
  current: number,
  factor: number,
  at: { x: number; y: number },
): Camera {
  const zoom = Math.min(MAX_ZOOM, Math.max(MIN_ZOOM, current * factor));
  const actual = zoom / current;
  return { zoom, x: at.x - (at.x - camera.x) * actual, y: at.y - (at.y - camera.y) * actual };
}

function around({ width, height }: Size, scale: number, view: Size, { x, y }: Camera): Box {
  const drawn = { width: width * scale, height: height * scale };
  return {
    ...drawn,
    x: Math.round((view.width - drawn.width) / 2 + x),
    y: Math.round((view.height - drawn.height) / 2 + y),
  };
}
