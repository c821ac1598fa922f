/** Sources as sharp pipelines. */
import { ColorPolicy } from '@imagemesh/api';
import sharp, { type Sharp } from 'sharp';
import { checkFrames, type ImageLimits } from '../limits.ts';
import { frameOf, type Pixels, type Source } from '../source.ts';
import { translateSharpError } from './sharp-errors.ts';

export interface CodecOptions {
  readonly limits: ImageLimits;
  /** What is left of the deadline; sharp counts whole seconds, rounded up, from when a thread takes the work. */
  readonly timeoutMs: number;
  /** The frame wanted of an animation, from 0. */
  readonly frame?: number | undefined;
  /** KEEP: numbers and profile stay as they are, but for CMYK. Default SRGB. */
  readonly color?: ColorPolicy;
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
  /** The ICC profile that the numbers are of; undefined for sRGB. */
  readonly iccProfile: Uint8Array | undefined;
}

/** Opens a still source, or one frame of an animation. Nothing is decoded before a result is asked for. */
export async function openSource(source: Source, options: CodecOptions): Promise<Opened> {
  if (source.kind === 'pixels') return openPixels(frameOf(sourcePixels(source), options.frame ?? 0), options);
  const { header, bytes } = source;
  const isDeep = header.bitDepth > 8;
  const isGrey = header.channels === 1 || header.channels === 2;
  const keepsProfile = options.color === ColorPolicy.KEEP;
  const { hasProfile, icc, space } =
    keepsProfile || (isDeep && !isGrey) ? await metadataOf(bytes, options) : {};
  const iccProfile = keepsProfile && space !== 'cmyk' ? icc : undefined;
  const image = sharp(bytes, {
    ...readOptions(options),
    ignoreIcc: iccProfile !== undefined,
    ...(header.frames > 1 && { page: options.frame ?? 0 }),
  }).timeout({ seconds: timeoutSeconds(options.timeoutMs) });
  return {
    image,
    isGrey,
    hasAlpha: header.hasAlpha,
    bitDepth: isDeep ? 16 : 8,
    needsProfileFix: iccProfile === undefined && isDeep && !isGrey && hasProfile === true,
    iccProfile,
  };
}

async function metadataOf(bytes: Uint8Array, options: CodecOptions) {
  try {
    return await sharp(bytes, readOptions(options)).metadata();
  } catch (error) {
    throw translateSharpError(error);
  }
}

/**
 * All frames of an animation, composed, as RGBA. Undefined where the file turns out to have one frame only: then it is
 * a still image.
 */
export async function decodeFrames(source: Source, options: CodecOptions): Promise<Pixels | undefined> {
  if (source.kind === 'pixels') {
    const pixels = sourcePixels(source);
    return pixels.animation === undefined ? undefined : pixels;
  }
  const { bytes } = source;
  const animated = {
    ...readOptions(options),
    limitInputPixels: options.limits.maxAnimationPixels,
    animated: true,
  };
  const { pages = 1, pageHeight = 0, delay = [], loop = 0 } = await sharp(bytes, animated).metadata();
  if (pages < 2) return undefined;
  checkFrames({ width: source.header.width, height: pageHeight }, pages, options.limits);
  const { data, info } = await sharp(bytes, animated)
    .timeout({ seconds: timeoutSeconds(options.timeoutMs) })
    .toColourspace('srgb')
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  // WebP has 24 bits for a delay; sharp writes 16.
  const delaysMs = Array.from({ length: pages }, (_, frame) => Math.min(65535, delay[frame] ?? 100));
  return {
    ...toPixels(data, { ...info, height: pageHeight }, 8),
    animation: { delaysMs, plays: Math.min(65535, loop) },
  };
}

/** Pixels of a stage before. */
export function sourcePixels({ bytes, content }: Extract<Source, { kind: 'pixels' }>): Pixels {
  const { width, height, channels, bitDepth, iccProfile, animation } = content;
  return {
    data: bytes,
    width,
    height,
    channels,
    bitDepth: bitDepth === 16 ? 16 : 8,
    ...(iccProfile.length > 0 && { iccProfile }),
    ...(animation !== undefined && { animation }),
  };
}

function readOptions({ limits }: CodecOptions) {
  return {
    // Truncated and corrupt images are refused; what decoders merely warn of (a bad profile, say) is not.
    failOn: 'error',
    limitInputPixels: limits.maxInputPixels,
    limitInputChannels: limits.maxChannels,
    sequentialRead: true,
    unlimited: false,
  } as const;
}

/** Opens pixels that are in memory. */
export function openPixels(pixels: Pixels, { limits, timeoutMs }: CodecOptions): Opened {
  const { width, height, bitDepth, iccProfile } = pixels;
  const channels = channelCount(pixels.channels);
  const data = bitDepth === 16 ? asUint16(pixels.data) : pixels.data;
  const image = sharp(data, {
    raw: { width, height, channels },
    limitInputPixels: Math.max(limits.maxInputPixels, limits.maxOutputPixels),
  }).timeout({ seconds: timeoutSeconds(timeoutMs) });
  const hasAlpha = channels === 2 || channels === 4;
  return { image, isGrey: channels < 3, hasAlpha, bitDepth, needsProfileFix: false, iccProfile };
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
export function timeoutSeconds(timeoutMs: number): number {
  return Math.min(3600, Math.max(1, Math.ceil(timeoutMs / 1000)));
}
