/** A stored image over the image. */
import { ColorPolicy, Gravity, type Watermark } from '@imagemesh/api';
import { type EncodedSource, type Size, turnOfOrientation, uprightSize } from '@imagemesh/image';
import { type CodecOptions, type Opened, openSource, translateSharpError } from '@imagemesh/image/codec';
import { putAllOver, putOver } from './put-over.ts';

/** Adds the watermark to an image of that size. Throws what decoding the overlay throws. */
export async function addWatermark(
  opened: Opened,
  size: Size,
  { gravity = Gravity.BOTTOM_RIGHT, offsetX = 0, offsetY = 0, opacity = 1, scale, tile = false }: Watermark,
  overlay: EncodedSource,
  options: CodecOptions,
): Promise<Opened> {
  const own = uprightSize(overlay.header);
  const layer = await layerOf(overlay, layerSize(own, size, scale), opacity, options);
  const place = { gravity, offsetX, offsetY };
  return tile
    ? putAllOver(opened, size, layer, place, options)
    : putOver(opened, size, layer, place, options);
}

/** The layer made last of an image, for as long as its call keeps the image: all frames of an animation want the same. */
const layers = new WeakMap<EncodedSource, { readonly key: string; readonly layer: Promise<Layer> }>();

type Layer = Awaited<ReturnType<typeof decodeLayer>>;

function layerOf(overlay: EncodedSource, size: Size, opacity: number, options: CodecOptions): Promise<Layer> {
  const key = `${size.width}×${size.height}, ${opacity}`;
  const known = layers.get(overlay);
  if (known?.key === key) return known.layer;
  const layer = decodeLayer(overlay, size, opacity, options);
  layers.set(overlay, { key, layer });
  return layer;
}

/** Never larger than the image. */
function layerSize(own: Size, size: Size, scale: number | undefined): Size {
  const wanted = scale === undefined ? 1 : (size.width * scale) / own.width;
  const factor = Math.min(wanted, size.width / own.width, size.height / own.height);
  const side = (length: number) => Math.max(1, Math.round(length * factor));
  return { width: Math.min(size.width, side(own.width)), height: Math.min(size.height, side(own.height)) };
}

/** RGBA of that size, upright, its alpha times the opacity. */
async function decodeLayer(
  overlay: EncodedSource,
  { width, height }: Size,
  opacity: number,
  options: CodecOptions,
) {
  const turn = turnOfOrientation(overlay.header.orientation);
  const { image } = await openSource(overlay, { ...options, color: ColorPolicy.SRGB, frame: undefined });
  const isOnSide = turn.quarters % 2 === 1;
  let layer = image.resize({
    width: isOnSide ? height : width,
    height: isOnSide ? width : height,
    fit: 'fill',
  });
  if (turn.flop) layer = layer.flop();
  if (turn.quarters > 0) layer = layer.rotate(turn.quarters * 90);
  try {
    const { data, info } = await layer
      .toColourspace('srgb')
      .ensureAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    if (opacity < 1) {
      for (let at = 3; at < data.length; at += 4) data[at] = Math.round((data[at] ?? 0) * opacity);
    }
    return { data, width: info.width, height: info.height, channels: 4, bitDepth: 8 } as const;
  } catch (error) {
    throw translateSharpError(error);
  }
}
