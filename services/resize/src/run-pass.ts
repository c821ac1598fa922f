/** One pass on sharp. The calls stand in the order in which sharp runs them. */
import { ExtendMethod, Kernel } from '@imagemesh/api';
import type { Opened } from '@imagemesh/image/codec';
import type { ExtendWith, KernelEnum } from 'sharp';
import { isOpaque, parseColour } from './colour.ts';
import type { Extension, Pass } from './passes.ts';

/** Adds the pass to a pipeline that is not run yet. */
export function addPass(opened: Opened, pass: Pass): Opened {
  const { crop, scale, turn, rotate, cropAfter, extend } = pass;
  let { image, hasAlpha } = opened;
  if (crop !== undefined) image = image.extract(crop);
  if (scale !== undefined) {
    // Exact sides, so that the result has the size predicted, also where the decoder shrinks a JPEG first.
    const { width, height, kernel } = scale;
    image = image.resize({
      width,
      height,
      fit: 'fill',
      kernel: kernelNames[kernel],
      // A decoder that shrinks is no nearest pixel.
      fastShrinkOnLoad: kernel !== Kernel.NEAREST,
    });
  }
  if (turn.flop) image = image.flop();
  if (turn.quarters > 0) image = image.rotate(turn.quarters * 90);
  if (rotate !== undefined) {
    image = image.rotate(rotate.angle, { background: rotate.background });
    hasAlpha = hasAlpha || !isOpaque(rotate.background);
  }
  if (cropAfter !== undefined) image = image.extract(cropAfter);
  if (extend !== undefined) {
    const { left, top, right, bottom } = extend;
    const background = extend.background ?? { r: 0, g: 0, b: 0, alpha: hasAlpha ? 0 : 1 };
    image = image.extend({ left, top, right, bottom, extendWith: extendWith[extend.method], background });
    hasAlpha = hasAlpha || isTranslucent(extend);
  }
  return { ...opened, image, hasAlpha };
}

/** Whether the pass makes a grey image coloured: then it must be one before. */
export function addsColour({ rotate, extend }: Pass): boolean {
  return [rotate?.background, extend?.background].some((background) => {
    if (background === undefined) return false;
    const { red, green, blue } = parseColour(background);
    return red !== green || green !== blue;
  });
}

/**
 * Whether the pass can make transparent pixels. sharp puts the background of formats without alpha behind an image
 * before it does such a pass, so these pixels would be left out.
 */
export function addsTransparency({ rotate, extend }: Pass, hasAlpha: boolean): boolean {
  return (
    (rotate !== undefined && (hasAlpha || !isOpaque(rotate.background))) ||
    (extend !== undefined && (hasAlpha || isTranslucent(extend)))
  );
}

function isTranslucent({ method, background }: Extension): boolean {
  return method === ExtendMethod.BACKGROUND && background !== undefined && !isOpaque(background);
}

const kernelNames: Readonly<Record<Kernel, keyof KernelEnum>> = {
  [Kernel.UNSPECIFIED]: 'lanczos3',
  [Kernel.NEAREST]: 'nearest',
  [Kernel.LINEAR]: 'linear',
  [Kernel.CUBIC]: 'cubic',
  [Kernel.MITCHELL]: 'mitchell',
  [Kernel.LANCZOS2]: 'lanczos2',
  [Kernel.LANCZOS3]: 'lanczos3',
  [Kernel.MKS2013]: 'mks2013',
  [Kernel.MKS2021]: 'mks2021',
};

const extendWith: Readonly<Record<ExtendMethod, ExtendWith>> = {
  [ExtendMethod.UNSPECIFIED]: 'background',
  [ExtendMethod.BACKGROUND]: 'background',
  [ExtendMethod.COPY]: 'copy',
  [ExtendMethod.MIRROR]: 'mirror',
  [ExtendMethod.REPEAT]: 'repeat',
};
