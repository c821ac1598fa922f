/** Images as bytes: encoded, or as pixels. */
import type { Animation, KeptMetadata, PixelContent } from '@imagemesh/api';
import type { ImageHeader, Size } from './info.ts';
import { uprightSize } from './info.ts';

/** An encoded image, its header read. */
export interface EncodedSource {
  readonly kind: 'encoded';
  readonly bytes: Uint8Array;
  readonly header: ImageHeader;
}

/** An image to read. */
export type Source =
  | EncodedSource
  /** Pixels of the stage before, laid out as `PixelContent` says; `bytes` has exactly their size. */
  | { readonly kind: 'pixels'; readonly bytes: Uint8Array; readonly content: PixelContent };

/** Decoded pixels: upright, sRGB, rows from the top, interleaved, no padding, alpha not premultiplied. */
export interface Pixels extends Size {
  /** 16-bit samples are in the machine's order, which is little-endian everywhere Node's binaries run. */
  readonly data: Uint8Array;
  /** 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA. */
  readonly channels: number;
  readonly bitDepth: 8 | 16;
  /** The ICC profile that the numbers are of; undefined for sRGB. */
  readonly iccProfile?: Uint8Array;
  /** Of an animation: `height` is that of a frame, and `data` holds all frames, one after the other. */
  readonly animation?: FrameTiming;
}

/** How the frames of an animation follow each other. */
export type FrameTiming = Pick<Animation, 'delaysMs' | 'plays'>;

/** Metadata blocks of a source that a result may carry. Empty blocks are absent. */
export type Metadata = Pick<KeptMetadata, 'exif' | 'xmp' | 'iptc'>;

/** The size of the source, upright. */
export function sourceSize(source: Source): Size {
  return source.kind === 'encoded' ? uprightSize(source.header) : source.content;
}

/** Frames of the source; of some animations the header only tells that there are several: 2. */
export function sourceFrames(source: Source): number {
  return source.kind === 'encoded' ? source.header.frames : frameCount(source.content);
}

/** Bytes that pixels of this shape take, all frames together. */
export function pixelBytes(
  shape: Size & {
    readonly channels: number;
    readonly bitDepth: number;
    readonly animation?: FrameTiming | undefined;
  },
): number {
  return shape.width * shape.height * shape.channels * (shape.bitDepth / 8) * frameCount(shape);
}

/** One frame of an animation as a still image, without a copy; still pixels are their own frame 0. */
export function frameOf(pixels: Pixels, index: number): Pixels {
  const { animation, ...still } = pixels;
  if (animation === undefined) return pixels;
  const bytes = pixelBytes(still);
  return { ...still, data: pixels.data.subarray(index * bytes, (index + 1) * bytes) };
}

/** Frames of the same shape as one animation. */
export function joinFrames(frames: readonly Pixels[], animation: FrameTiming): Pixels {
  const [first] = frames;
  if (first === undefined) throw new RangeError('an animation has frames');
  return { ...first, data: Buffer.concat(frames.map(({ data }) => data)), animation };
}

/** Frames of pixels; 1 for a still image. */
export function frameCount({ animation }: { readonly animation?: FrameTiming | undefined }): number {
  return animation?.delaysMs.length ?? 1;
}
