/** One pass on sharp. The calls stand in the order in which sharp runs them. */
import type { Opened } from '@imagemesh/image/codec';
import type { Extension, Pass } from './passes.ts';

/** Adds the pass to a pipeline that is not run yet. */
export function addPass(opened: Opened, pass: Pass): Opened {
  const { crop, scale, turn, rotate, cropAfter, extend } = pass;
  let { image, hasAlpha } = opened;
  if (crop !== undefined) image = image.extract(crop);
  // Exact sides, so that the result has the size predicted, also where the decoder shrinks a JPEG first.
  if (scale !== undefined) image = image.resize({ ...scale, fit: 'fill', kernel: 'lanczos3' });
  if (turn.flop) image = image.flop();
  if (turn.quarters > 0) image = image.rotate(turn.quarters * 90);
  if (rotate !== undefined) {
    image = image.rotate(rotate.angle, { background: rotate.background });
    hasAlpha = hasAlpha || !isOpaque(rotate.background);
  }
  if (cropAfter !== undefined) image = image.extract(cropAfter);
  if (extend !== undefined) image = image.extend({ ...sides(extend), background: filler(hasAlpha) });
  return { ...opened, image, hasAlpha };
}

/** Whether the colour makes a grey image coloured: then it must be one before the pass. */
export function addsColour({ rotate }: Pass): boolean {
  if (rotate === undefined) return false;
  const [, red, green, blue] = /^#(..)(..)(..)/.exec(rotate.background.toLowerCase()) ?? [];
  return red !== green || green !== blue;
}

/**
 * Whether the pass can make transparent pixels. sharp puts the background of formats without alpha behind an image
 * before it does such a pass, so these pixels would be left out.
 */
export function addsTransparency({ rotate, extend }: Pass, hasAlpha: boolean): boolean {
  return (
    (rotate !== undefined && (hasAlpha || !isOpaque(rotate.background))) || (extend !== undefined && hasAlpha)
  );
}

function isOpaque(colour: string): boolean {
  return colour.length < 9 || colour.toLowerCase().endsWith('ff');
}

function sides({ left, top, right, bottom }: Extension) {
  return { left, top, right, bottom };
}

/** Transparent, or black where there is no alpha. */
function filler(hasAlpha: boolean) {
  return { r: 0, g: 0, b: 0, alpha: hasAlpha ? 0 : 1 };
}
