/** How large images may be, in and out. */
import { Format, type Operation } from '@imagemesh/api';
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
  /**
   * Pixels of an image that is filtered: OpenCV's heap ends at 1 GiB, and Canny, the hungriest, takes up to 20 bytes a
   * pixel.
   */
  readonly maxFilterPixels: number;
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
  maxFilterPixels: 40_000_000,
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
  { name: 'MAX_SIDE', default: '65535', doc: 'Longest side of any image, in px.' },
  { name: 'MAX_CHANNELS', default: '5', doc: 'Channels of a source image, alpha included.' },
  { name: 'MAX_FRAMES', default: '500', doc: 'Frames of an animation.' },
  {
    name: 'MAX_ANIMATION_PIXELS',
    default: '50000000',
    doc: 'Pixels of all frames of an animation together.',
  },
  { name: 'MAX_OPERATIONS', default: '32', doc: 'Operations in a pipeline.' },
  { name: 'MAX_KERNEL_WORK', default: '4000', doc: "Taps of a pipeline's filter kernels times megapixels." },
  { name: 'MAX_FILTER_PIXELS', default: '40000000', doc: 'Pixels of an image that is filtered.' },
  { name: 'MAX_VARIANTS', default: '32', doc: 'Results wanted of one image in one call.' },
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
    maxSide: envInt(env, 'MAX_SIDE', { default: defaultLimits.maxSide, min: 1, max: 65535 }),
    maxChannels: envInt(env, 'MAX_CHANNELS', { default: defaultLimits.maxChannels, min: 1, max: 64 }),
    maxFrames: envInt(env, 'MAX_FRAMES', { default: defaultLimits.maxFrames, min: 1, max: 10_000 }),
    maxAnimationPixels: envInt(env, 'MAX_ANIMATION_PIXELS', {
      default: defaultLimits.maxAnimationPixels,
      min: 1,
      max: megapixels,
    }),
    // More than 32 are refused by the messages' own rules.
    maxOperations: envInt(env, 'MAX_OPERATIONS', { default: defaultLimits.maxOperations, min: 1, max: 32 }),
    maxKernelWork: envInt(env, 'MAX_KERNEL_WORK', {
      default: defaultLimits.maxKernelWork,
      min: 1,
      max: 10_000_000,
    }),
    maxFilterPixels: envInt(env, 'MAX_FILTER_PIXELS', {
      default: defaultLimits.maxFilterPixels,
      min: 1,
      max: defaultLimits.maxFilterPixels,
    }),
    maxVariants: envInt(env, 'MAX_VARIANTS', { default: defaultLimits.maxVariants, min: 1, max: 32 }),
  };
}

/**
 * Refuses a source with too long a side, too many pixels, frames or channels (TOO_MANY_PIXELS), and several frames where
 * its format's animations are not read (ANIMATION_REFUSED).
 */
export function checkInput(header: ImageHeader, limits: ImageLimits): void {
  const { name, canAnimate } = formatNames(header.format);
  if (header.frames > 1 && !canAnimate) {
    const what = header.format === Format.TIFF ? 'a TIFF of several pages' : `an animated ${name}`;
    throw new MeshError('ANIMATION_REFUSED', `the image is ${what}, which is not read`, {
      metadata: { format: name, frames: String(header.frames) },
    });
  }
  checkPixels(header, limits.maxInputPixels, limits.maxSide, `the image is`);
  if (header.channels > limits.maxChannels) {
    const { maxChannels } = limits;
    throw new MeshError(
      'TOO_MANY_PIXELS',
      `the image has ${header.channels} channels; the limit is ${maxChannels}`,
      { metadata: { channels: String(header.channels), maxChannels: String(maxChannels) } },
    );
  }
  if (header.frames > 1) checkFrames(header, header.frames, limits);
}

/** Refuses an animation of too many frames, or too many pixels in all of them: TOO_MANY_PIXELS. */
export function checkFrames({ width, height }: Size, frames: number, limits: ImageLimits): void {
  const { maxFrames, maxAnimationPixels } = limits;
  if (frames > maxFrames) {
    throw new MeshError('TOO_MANY_PIXELS', `the animation has ${frames} frames; the limit is ${maxFrames}`, {
      metadata: { frames: String(frames), maxFrames: String(maxFrames) },
    });
  }
  const pixels = frames * width * height;
  if (pixels <= maxAnimationPixels) return;
  throw new MeshError(
    'TOO_MANY_PIXELS',
    `the animation has ${frames} frames of ${width}×${height} = ${pixels} px; the limit is ${maxAnimationPixels} px`,
    {
      metadata: {
        frames: String(frames),
        pixels: String(pixels),
        maxAnimationPixels: String(maxAnimationPixels),
      },
    },
  );
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

/** Whether the format can hold an image of that size. */
export function holdsSize(format: CodedFormat, { width, height }: Size): boolean {
  const { maxSide } = formatNames(format);
  return width <= maxSide && height <= maxSide;
}

/** Refuses a result that its format cannot hold: OUTPUT_TOO_LARGE. */
export function checkFormatSize(size: Size, format: CodedFormat, path = 'output'): void {
  if (holdsSize(format, size)) return;
  const { width, height } = size;
  const { name, maxSide } = formatNames(format);
  const description = `${name} holds at most ${maxSide} px a side; the result is ${width}×${height} px`;
  throw new MeshError('OUTPUT_TOO_LARGE', `${path}.format: ${description}`, {
    metadata: { width: String(width), height: String(height), maxSide: String(maxSide) },
    violations: [{ field: `${path}.format`, description }],
  });
}

/**
 * Refuses images too large to be filtered: TOO_MANY_PIXELS. `sizes` are those before the first operation and after each;
 * crops at the beginning are done on the way into the heap.
 */
export function checkFilterPixels(
  sizes: readonly Size[],
  operations: readonly Operation[],
  { maxFilterPixels }: ImageLimits,
  path = 'operations',
  /** Place of the first of the operations in the path's list. */
  from = 0,
): void {
  const first = leadingCrops(operations);
  for (const [index, { width, height }] of sizes.entries()) {
    if (index < first || width * height <= maxFilterPixels) continue;
    // The one that would take it; the last is the one that makes it.
    const field = `${path}[${from + Math.max(0, Math.min(index, operations.length - 1))}]`;
    const description =
      `filters take images of up to ${maxFilterPixels} px; this one has ${width}×${height} = ${width * height} px: ` +
      'resize or crop it first';
    throw new MeshError('TOO_MANY_PIXELS', `${field}: ${description}`, {
      metadata: { width: String(width), height: String(height), maxFilterPixels: String(maxFilterPixels) },
      violations: [{ field, description }],
    });
  }
}

/** How many crops the operations begin with. */
export function leadingCrops(operations: readonly Operation[]): number {
  const first = operations.findIndex(({ operation }) => operation.case !== 'crop');
  return first === -1 ? operations.length : first;
}
