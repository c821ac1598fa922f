/** Sources as sharp pipelines. */
import sharp, { type Sharp } from 'sharp';
import type { ImageLimits } from '../limits.ts';
import type { Pixels, Source } from '../source.ts';

export interface CodecOptions {
  readonly limits: ImageLimits;
  /** What is left of the deadline; sharp counts whole seconds, rounded up, from when a thread takes the work. */
  readonly timeoutMs: number;
}

/** A source's pixels as sharp will hand them on. */
export interface Opened {
  /** Not yet oriented: width, height and orientation are those of the header. */
  readonly image: Sharp;
  /** Whether there is no colour: sharp makes three channels of it unless told. */
  readonly isGrey: boolean;
  readonly hasAlpha: boolean;
  readonly bitDepth: 8 | 16;
  /** Convert to sRGB at the end: sharp leaves deep images with a profile in P3 otherwise. */
  readonly needsProfileFix: boolean;
}

/** Opens a source. Nothing is decoded before a result is asked for. */
export async function openSource(source: Source, { limits, timeoutMs }: CodecOptions): Promise<Opened> {
  if (source.kind === 'pixels') {
    const { width, height, channels, bitDepth } = source.content;
    return openPixels(
      { data: source.bytes, width, height, channels, bitDepth: bitDepth === 16 ? 16 : 8 },
      { limits, timeoutMs },
    );
  }
  const { header, bytes } = source;
  const image = sharp(bytes, {
    // Truncated and corrupt images are refused; what decoders merely warn of (a bad profile, say) is not.
    failOn: 'error',
    limitInputPixels: limits.maxInputPixels,
    sequentialRead: true,
    unlimited: false,
  }).timeout({ seconds: timeoutSeconds(timeoutMs) });
  const isDeep = header.bitDepth > 8;
  const isGrey = header.channels === 1 || header.channels === 2;
  const needsProfileFix = isDeep && !isGrey && (await sharp(bytes).metadata()).hasProfile === true;
  return { image, isGrey, hasAlpha: header.hasAlpha, bitDepth: isDeep ? 16 : 8, needsProfileFix };
}

/** Opens pixels that are in memory. */
export function openPixels(pixels: Pixels, { limits, timeoutMs }: CodecOptions): Opened {
  const { width, height, bitDepth } = pixels;
  const channels = channelCount(pixels.channels);
  const data = bitDepth === 16 ? asUint16(pixels.data) : pixels.data;
  const image = sharp(data, {
    raw: { width, height, channels },
    limitInputPixels: Math.max(limits.maxInputPixels, limits.maxOutputPixels),
  }).timeout({ seconds: timeoutSeconds(timeoutMs) });
  const hasAlpha = channels === 2 || channels === 4;
  return { image, isGrey: channels < 3, hasAlpha, bitDepth, needsProfileFix: false };
}

/** Says what the pixels are to be at the end of the pipeline: grey or colour, and how deep. */
export function convertTo(
  opened: Opened,
  want: { readonly isGrey: boolean; readonly bitDepth: 8 | 16 },
): Sharp {
  const space = want.bitDepth === 16 ? (want.isGrey ? 'grey16' : 'rgb16') : want.isGrey ? 'b-w' : 'srgb';
  const image = opened.image.toColourspace(space);
  return opened.needsProfileFix ? image.withIccProfile('srgb', { attach: false }) : image;
}

/**
 * The same for raw pixels. sharp leaves the alpha of 8-bit grey pixels out of them, so these become colour.
 */
export function convertToRaw(
  opened: Opened,
  want: { readonly isGrey: boolean; readonly bitDepth: 8 | 16 },
): Sharp {
  const isGrey = want.isGrey && (want.bitDepth === 16 || !opened.hasAlpha);
  const { bitDepth } = want;
  return convertTo(opened, { isGrey, bitDepth }).raw({ depth: bitDepth === 16 ? 'ushort' : 'uchar' });
}

/** A result of `raw()` as pixels. */
export function toPixels(
  data: Buffer,
  info: { width: number; height: number; channels: number },
  bitDepth: 8 | 16,
): Pixels {
  const { width, height, channels } = info;
  return { data, width, height, channels, bitDepth };
}

export function channelCount(channels: number): 1 | 2 | 3 | 4 {
  switch (channels) {
    case 1:
    case 2:
    case 4:
      return channels;
    default:
      return 3;
  }
}

/** A view where alignment allows, else a copy. */
function asUint16(bytes: Uint8Array): Uint16Array {
  if (bytes.byteOffset % 2 === 0)
    return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  return new Uint16Array(new Uint8Array(bytes).buffer);
}

/** sharp takes whole seconds, 1 to 3600; 0 would mean none. */
function timeoutSeconds(timeoutMs: number): number {
  return Math.min(3600, Math.max(1, Math.ceil(timeoutMs / 1000)));
}
