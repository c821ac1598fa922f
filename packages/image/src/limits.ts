/** How large images may be, in and out. */
import { type Env, type EnvDoc, envBytes, envInt } from '@imagemesh/observe';
import { MeshError } from '@imagemesh/rpc';
import { type CodedFormat, formatNames } from './formats.ts';
import type { ImageHeader, Size } from './info.ts';

export interface ImageLimits {
  /** Encoded bytes of a source. */
  readonly maxInputBytes: number;
  /** Pixels of a source, from its header. */
  readonly maxInputPixels: number;
  /** Longest side of any image, in px. */
  readonly maxSide: number;
  /** Pixels of any operation's result. */
  readonly maxOutputPixels: number;
  /** Sum of the pixels of a pipeline's results. */
  readonly maxPipelinePixels: number;
  /** Operations in a pipeline. */
  readonly maxOperations: number;
  /** Frames of an animation. */
  readonly maxFrames: number;
  /** Pixels of all frames of an animation together, in and out. */
  readonly maxAnimationPixels: number;
  /** Channels of a source, alpha included. */
  readonly maxChannels: number;
  /** Taps of a filter's kernel times the megapixels that it runs over. */
  readonly maxKernelWork: number;
  /** Results wanted of one image in one call. */
  readonly maxVariants: number;
  /** Encoded bytes of a result. */
  readonly maxResultBytes: number;
}

export const defaultLimits: ImageLimits = {
  maxInputBytes: 64 * 1024 * 1024,
  maxInputPixels: 100_000_000,
  maxSide: 65535,
  maxOutputPixels: 50_000_000,
  maxPipelinePixels: 200_000_000,
  maxOperations: 32,
  maxFrames: 500,
  maxAnimationPixels: 50_000_000,
  maxChannels: 5,
  maxKernelWork: 4000,
  maxVariants: 32,
  maxResultBytes: 256 * 1024 * 1024,
};

/** What `limitsFromEnv` reads, for `--help`. */
export const limitsEnvDocs: readonly EnvDoc[] = [
  { name: 'MAX_INPUT_BYTES', default: '64MiB', doc: 'The largest source image.' },
  { name: 'MAX_INPUT_PIXELS', default: '100000000', doc: 'Pixels of a source image.' },
  { name: 'MAX_OUTPUT_PIXELS', default: '50000000', doc: "Pixels of any operation's result." },
  { name: 'MAX_PIPELINE_PIXELS', default: '200000000', doc: "Sum of the pixels of a pipeline's results." },
  { name: 'MAX_RESULT_BYTES', default: '256MiB', doc: 'Encoded bytes of a result.' },
];

/** The limits, each overridden by its variable: MAX_INPUT_BYTES, MAX_INPUT_PIXELS, MAX_OUTPUT_PIXELS, … */
export function limitsFromEnv(env: Env): ImageLimits {
  const giga = 1024 ** 3;
  const megapixels = 1_000_000_000;
  const { maxInputBytes, maxInputPixels, maxOutputPixels, maxPipelinePixels, maxResultBytes } = defaultLimits;
  return {
    ...defaultLimits,
    maxInputBytes: envBytes(env, 'MAX_INPUT_BYTES', { default: maxInputBytes, min: 1, max: giga }),
    maxInputPixels: envInt(env, 'MAX_INPUT_PIXELS', { default: maxInputPixels, min: 1, max: megapixels }),
    maxOutputPixels: envInt(env, 'MAX_OUTPUT_PIXELS', { default: maxOutputPixels, min: 1, max: megapixels }),
    maxPipelinePixels: envInt(env, 'MAX_PIPELINE_PIXELS', {
      default: maxPipelinePixels,
      min: 1,
      max: 32 * megapixels,
    }),
    maxResultBytes: envBytes(env, 'MAX_RESULT_BYTES', { default: maxResultBytes, min: 1, max: giga }),
  };
}

/** Refuses a source that is animated, has too long a side or too many pixels: ANIMATION_REFUSED, TOO_MANY_PIXELS. */
export function checkInput(header: ImageHeader, limits: ImageLimits): void {
  const { name } = formatNames(header.format);
  if (header.frames > 1) {
    throw new MeshError(
      'ANIMATION_REFUSED',
      `the image is an animated ${name}; only still images are processed`,
      {
        metadata: { format: name, frames: String(header.frames) },
      },
    );
  }
  checkPixels(header, limits.maxInputPixels, limits.maxSide, `the image is`);
}

/** Refuses pixels of a stage before: the same rules, for a size. */
export function checkPixels(size: Size, maxPixels: number, maxSide: number, what: string): void {
  const { width, height } = size;
  const metadata = { width: String(width), height: String(height) };
  if (width > maxSide || height > maxSide) {
    throw new MeshError(
      'TOO_MANY_PIXELS',
      `${what} ${width}×${height} px; the longest side may have ${maxSide} px`,
      {
        metadata: { ...metadata, maxSide: String(maxSide) },
      },
    );
  }
  if (width * height > maxPixels) {
    const has = `${what} ${width}×${height} = ${width * height} px; the limit is ${maxPixels} px`;
    throw new MeshError('TOO_MANY_PIXELS', has, {
      metadata: { ...metadata, maxInputPixels: String(maxPixels) },
    });
  }
}

/** Refuses a result that its format cannot hold: OUTPUT_TOO_LARGE. */
export function checkFormatSize({ width, height }: Size, format: CodedFormat): void {
  const { name, maxSide } = formatNames(format);
  if (width <= maxSide && height <= maxSide) return;
  throw new MeshError(
    'OUTPUT_TOO_LARGE',
    `${name} holds at most ${maxSide} px a side; the result is ${width}×${height} px`,
    {
      metadata: { width: String(width), height: String(height), maxSide: String(maxSide) },
    },
  );
}
