/** Puts a layer over the image. */
import type { Gravity } from '@imagemesh/api';
import { gravityPlace, type Pixels, type Size, towards } from '@imagemesh/image';
import { type CodecOptions, type Opened, openPixels, runToPixels } from '@imagemesh/image/codec';
import type { Sharp } from 'sharp';

export interface Placing {
  readonly gravity: Gravity;
  readonly offsetX: number;
  readonly offsetY: number;
}

/** Where the top left corner of the layer lies in the image; may be outside. */
export function placeOf(size: Size, layer: Size, { gravity, offsetX, offsetY }: Placing) {
  const { left, top } = gravityPlace(size, layer, gravity);
  const [x, y] = towards(gravity);
  return { left: left + (x === 1 ? -offsetX : offsetX), top: top + (y === 1 ? -offsetY : offsetY) };
}

/** An RGBA layer at its place; what reaches beyond the image is cut off. The image becomes coloured, with 8 bits a channel. */
export async function putOver(
  opened: Opened,
  size: Size,
  layer: Pixels,
  placing: Placing,
  options: CodecOptions,
): Promise<Opened> {
  const { left, top } = placeOf(size, layer, placing);
  const visible = {
    left: Math.max(0, -left),
    top: Math.max(0, -top),
    width: Math.min(size.width, left + layer.width) - Math.max(0, left),
    height: Math.min(size.height, top + layer.height) - Math.max(0, top),
  };
  if (visible.width <= 0 || visible.height <= 0) return opened;
  const image = openPixels(layer, options).image.extract(visible);
  return compose(opened, image, { left: Math.max(0, left), top: Math.max(0, top) }, options);
}

/** The layer all over the image, one of them where the placing says. */
export async function putAllOver(
  opened: Opened,
  size: Size,
  layer: Pixels,
  placing: Placing,
  options: CodecOptions,
): Promise<Opened> {
  const { left, top } = placeOf(size, layer, placing);
  const before = (start: number, length: number) => ((start % length) + length) % length;
  const [x, y] = [before(left, layer.width), before(top, layer.height)];
  const [right, bottom] = [
    Math.max(0, size.width - x - layer.width),
    Math.max(0, size.height - y - layer.height),
  ];
  const repeated = openPixels(layer, options).image.extend({
    left: x,
    top: y,
    right,
    bottom,
    extendWith: 'repeat',
  });
  const { data, info } = await repeated.raw().toBuffer({ resolveWithObject: true });
  const tiles: Pixels = { data, width: info.width, height: info.height, channels: 4, bitDepth: 8 };
  const image = openPixels(tiles, options).image.extract({ left: 0, top: 0, ...size });
  return compose(opened, image, { left: 0, top: 0 }, options);
}

async function compose(
  opened: Opened,
  layer: Sharp,
  place: { readonly left: number; readonly top: number },
  options: CodecOptions,
): Promise<Opened> {
  const { data, info } = await layer.raw().toBuffer({ resolveWithObject: true });
  const base = openPixels(await runToPixels({ ...opened, isGrey: false }, 8, 'pixels'), options);
  const raw = { width: info.width, height: info.height, channels: 4 } as const;
  const image = base.image.composite([{ input: data, raw, ...place }]);
  // Composing gives alpha to what had none, all of it opaque.
  return { ...base, image: base.hasAlpha ? image : image.removeAlpha() };
}
