/** Measures pixels, as ImageAnalysis says. */
import { createRequire } from 'node:module';
import { create } from '@bufbuild/protobuf';
import { type ImageAnalysis, ImageAnalysisSchema } from '@imagemesh/api';
import { frameOf, type Pixels } from '@imagemesh/image';
import { openPixels, translateSharpError } from '@imagemesh/image/codec';
import type { WorkCall } from '@imagemesh/worker';
import { encode as encodeBlurHash } from 'blurhash';
import type { SharpOptions } from 'sharp';
import { rgbaToThumbHash } from 'thumbhash';
import { countPixels } from './count-pixels.ts';

/** Its types describe a default export, which a CommonJS module without one does not have. */
const phash: (image: Uint8Array, options: SharpOptions) => Promise<string> = createRequire(import.meta.url)(
  'sharp-phash',
);

/** Longest side of the image that hashes are made of; ThumbHash takes no longer one. */
const hashSide = 100;

/** Of an animation, its first frame. The pixels have 8 bits a channel. */
export async function analyze(
  given: Pixels,
  { limits, remainingMs, signal }: WorkCall,
): Promise<ImageAnalysis> {
  const pixels = frameOf(given, 0);
  const open = () => openPixels(pixels, { limits, timeoutMs: remainingMs() });
  try {
    const { isOpaque, sharpness, entropy } = await open().image.stats();
    signal.throwIfAborted();
    const small = await open()
      .image.resize({ width: hashSide, height: hashSide, fit: 'inside', withoutEnlargement: true })
      .toColourspace('srgb')
      .ensureAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    signal.throwIfAborted();
    const { width, height } = small.info;
    return create(ImageAnalysisSchema, {
      ...countPixels(pixels),
      blurhash: encodeBlurHash(new Uint8ClampedArray(small.data), width, height, 4, 3),
      thumbhash: Buffer.from(rgbaToThumbHash(width, height, small.data)).toString('base64'),
      perceptualHash: await perceptualHash(small.data, width, height),
      sharpness,
      entropy,
      isOpaque,
    });
  } catch (error) {
    throw translateSharpError(error, 'pixels');
  }
}

async function perceptualHash(data: Uint8Array, width: number, height: number): Promise<string> {
  const bits = await phash(data, { raw: { width, height, channels: 4 } });
  return BigInt(`0b${bits}`).toString(16).padStart(16, '0');
}
