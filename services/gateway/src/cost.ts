/**
 * A first estimate of a stage's work in ms of a reference core (one 3 GHz x86 core, sharp 0.35, opencv-wasm 4.3).
 *
 * Linear in megapixels, one constant for each thing done. The balancer only compares estimates with each other and
 * learns each replica's speed from what calls took, so ratios matter and absolute values hardly do.
 */
import { Format, type Operation, type Output } from '@imagemesh/api';
import { kernelTaps, type Size } from '@imagemesh/image';

/** Per stage: spec, framing, thread hand-over. */
const stageMs = 1;

/** Pixels in or out between stages, per megapixel. */
const handOverMs = 2;

/** Decoding, per megapixel. */
const decodeMs: Partial<Record<Format, number>> = {
  [Format.JPEG]: 4,
  [Format.PNG]: 9,
  [Format.WEBP]: 9,
  [Format.AVIF]: 15,
  [Format.GIF]: 10,
  [Format.TIFF]: 8,
};

/** Encoding at the default effort, per megapixel. */
const encodeMs: Partial<Record<Format, number>> = {
  [Format.JPEG]: 4.5,
  [Format.PNG]: 30,
  [Format.WEBP]: 60,
  [Format.AVIF]: 300,
  [Format.GIF]: 250,
  [Format.TIFF]: 30,
};

/** What an effort does to the time of an encoder; `[0]` is effort 0. */
const effortFactor: Partial<Record<Format, readonly number[]>> = {
  [Format.JPEG]: [1, 1, 1, 1, 1, 2.7, 2.7, 2.7, 12, 12],
  [Format.PNG]: [0.2, 0.3, 0.4, 0.7, 1, 1.3, 1.8, 2.5, 5, 8],
  [Format.WEBP]: [0.3, 0.4, 0.6, 0.8, 1, 1.1, 1.3, 1.5, 2, 3],
  [Format.AVIF]: [0.3, 0.3, 0.5, 0.5, 1, 1, 2, 2, 4, 8],
  [Format.GIF]: [0.4, 0.4, 0.6, 0.8, 1, 1.2, 1.4, 1.6, 1.8, 2],
};

export interface StageWork {
  /** The format decoded; undefined for pixels from the stage before. */
  readonly source: Format | undefined;
  readonly sourceSize: Size;
  /** Each operation with the size it makes. */
  readonly steps: readonly { readonly operation: Operation; readonly result: Size }[];
  /** Frames that all of it is done for. */
  readonly frames?: number;
  /** The format encoded; undefined for pixels to the next stage. */
  readonly output: Output | undefined;
  /** A second format encoded. */
  readonly alternative?: Format | undefined;
}

/** Predicted work of one stage in reference ms. */
export function estimateStage(work: StageWork): number {
  const { source, sourceSize, steps, frames = 1, output, alternative } = work;
  let size = sourceSize;
  let ms = megapixels(size) * (source === undefined ? handOverMs : (decodeMs[source] ?? 10));
  for (const { operation, result } of steps) {
    ms += estimateOperation(operation, size, result);
    size = result;
  }
  ms += megapixels(size) * (output === undefined ? handOverMs : encodePerMegapixel(output));
  if (alternative !== undefined) ms += megapixels(size) * (encodeMs[alternative] ?? 30);
  return Math.round((stageMs + ms * frames) * 10) / 10;
}

function estimateOperation(given: Operation, before: Size, after: Size): number {
  const { operation } = given;
  const mp = megapixels(before);
  switch (operation.case) {
    case 'resize':
      return 1.5 * mp + 4 * megapixels(after);
    case 'crop':
      return 0.5 * megapixels(after);
    case 'flip':
      return 1.5 * mp;
    case 'rotate':
      return (isQuarterTurn(operation.value.angle ?? 0) ? 3 : 12) * megapixels(after);
    case 'gaussianBlur':
    case 'blurRegion':
    case 'sharpen':
      return (2 + 0.55 * kernelTaps(given)) * mp;
    case 'medianBlur':
      return ((operation.value.size ?? 5) <= 5 ? 25 : 90) * mp;
    case 'bilateral':
      return (10 + 0.85 * kernelTaps(given)) * mp;
    case 'convolve':
      return (4 + 0.6 * kernelTaps(given)) * mp;
    case 'adaptiveThreshold':
      return 10 * mp;
    case 'morphology':
      return (2 + 0.3 * kernelTaps(given)) * mp;
    case 'edges':
      return 28 * mp;
    case 'trim':
    case 'watermark':
    case 'text':
    case 'roundCorners':
      return 12 * mp;
    case undefined:
      return 0;
    default:
      return 4 * mp;
  }
}

/** Whether turning by the angle only moves pixels. */
export function isQuarterTurn(angle: number): boolean {
  return angle % 90 === 0;
}

function encodePerMegapixel({ format, effort }: Output): number {
  return (encodeMs[format] ?? 30) * (effortFactor[format]?.[effort ?? 4] ?? 1);
}

function megapixels({ width, height }: Size): number {
  return (width * height) / 1e6;
}
