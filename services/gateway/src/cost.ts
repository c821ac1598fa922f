/**
 * A first estimate of a stage's work in ms of a reference core (one 3 GHz x86 core, sharp 0.35, OpenCV 4.12 as wasm with
 * SIMD).
 *
 * Linear in megapixels, one constant for each thing done, measured at 2 MP. The balancer only compares estimates with each
 * other and learns each replica's speed from what calls took, so ratios matter and absolute values hardly do.
 */
import { AdaptiveMethod, Format, type Operation, type Output } from '@imagemesh/api';
import { isSmartGravity, kernelTaps, regionRect, type Size } from '@imagemesh/image';

/** Per stage: spec, framing, thread hand-over. */
const stageMs = 1;

/** Per frame of an animation: pipelines of its own. */
const frameMs = 2;

/** Pixels in or out between stages, per megapixel. */
const handOverMs = 2;

/** Decoding, per megapixel. */
const decodeMs: Partial<Record<Format, number>> = {
  [Format.JPEG]: 2.5,
  [Format.PNG]: 10,
  [Format.WEBP]: 17,
  [Format.AVIF]: 40,
  [Format.GIF]: 10,
  [Format.TIFF]: 8,
};

/** Encoding, per megapixel, by effort. */
const encodeMs: Partial<Record<Format, readonly number[]>> = {
  [Format.JPEG]: [2.5, 2.5, 2.5, 2.5, 2.5, 5, 5, 5, 42, 42],
  [Format.PNG]: [3, 17, 29, 31, 32, 35, 36, 42, 45, 62],
  [Format.WEBP]: [18, 22, 22, 30, 73, 73, 73, 82, 82, 165],
  [Format.AVIF]: [50, 50, 160, 160, 300, 300, 465, 465, 2400, 2400],
  [Format.GIF]: [280, 280, 280, 280, 350, 510, 660, 740, 790, 930],
  [Format.TIFF]: [3, 60, 60, 60, 60, 60, 60, 60, 60, 60],
};

const defaultEffort = 4;

/** What lossless compression does to the time of an encoder. */
const losslessFactor: Partial<Record<Format, number>> = { [Format.WEBP]: 6, [Format.AVIF]: 2.8 };

/** Encodings until the quality is found. */
const searchFactor = 7;

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
  ms += megapixels(size) * (output === undefined ? handOverMs : encodingMs(output, output.format));
  if (output !== undefined && alternative !== undefined)
    ms += megapixels(size) * encodingMs({ ...output, lossless: false }, alternative);
  if (frames > 1) ms += frameMs;
  return Math.round((stageMs + ms * frames) * 10) / 10;
}

function estimateOperation(given: Operation, before: Size, after: Size): number {
  const { operation } = given;
  const mp = megapixels(before);
  switch (operation.case) {
    case 'resize':
      return 1.5 * mp + (megapixels(after) > mp ? 20 : 4) * megapixels(after);
    case 'crop':
      return isSmartGravity(operation.value.gravity) ? 5 * mp : 0.5 * megapixels(after);
    case 'rotate':
      return (isQuarterTurn(operation.value.angle ?? 0) ? 3.5 : 5) * megapixels(after);
    case 'flip':
    case 'extend':
      return megapixels(after);
    case 'selectFrame':
      return 0;
    case 'redactFaces':
    case 'cropToFaces':
      // Searched on a copy of at most 1024 px a side.
      return 100 + 4 * mp;
    case 'trim':
      return 170 * mp;
    case 'roundCorners':
      return 18 * mp;
    case 'flatten':
      return 2.5 * mp;
    case 'watermark':
      return (operation.value.tile ? 20 : 12) * mp;
    case 'text':
      return 7 * mp;
    case 'blur':
      return 6 * mp;
    case 'gaussianBlur':
      return (1 + 0.6 * kernelTaps(given)) * mp;
    case 'sharpen':
      return (5 + 0.6 * kernelTaps(given)) * mp;
    case 'blurRegion':
      return 6 * mp + 0.6 * kernelTaps(given) * megapixels(regionRect(before, operation.value));
    case 'medianBlur':
      return medianPerMegapixel(operation.value.size ?? 5) * mp;
    case 'bilateral':
      return (4 + 0.87 * kernelTaps(given)) * mp;
    case 'convolve':
      return (5.5 + 0.24 * kernelTaps(given)) * mp;
    case 'morphology':
      return (4 + 0.08 * kernelTaps(given)) * mp;
    case 'adaptiveThreshold': {
      const isGaussian = operation.value.method === AdaptiveMethod.GAUSSIAN;
      return (8.5 + (isGaussian ? 0.07 * kernelTaps(given) : 0)) * mp;
    }
    case 'edges':
      return 15 * mp;
    case 'sobel':
    case 'laplacian':
    case 'emboss':
    case 'pixelate':
      return 9 * mp;
    case 'perspective':
      return 18 * megapixels(after);
    case 'equalize':
      return 11 * mp;
    case 'clahe':
      return 16 * mp;
    case 'grayscale':
    case 'invert':
      return 4 * mp;
    case 'adjust':
    case 'sepia':
    case 'threshold':
      return 5 * mp;
    case undefined:
      return 0;
    default:
      return operation satisfies never;
  }
}

/** Whether turning by the angle only moves pixels. */
export function isQuarterTurn(angle: number): boolean {
  return angle % 90 === 0;
}

/** OpenCV sorts the smallest kernels in registers. */
function medianPerMegapixel(side: number): number {
  if (side <= 3) return 6;
  return side <= 5 ? 26 : 68;
}

function encodingMs({ effort, lossless, targetBytes }: Output, format: Format): number {
  const once =
    (encodeMs[format]?.[effort ?? defaultEffort] ?? 30) * (lossless ? (losslessFactor[format] ?? 1) : 1);
  return targetBytes === undefined ? once : once * searchFactor;
}

function megapixels({ width, height }: Size): number {
  return (width * height) / 1e6;
}
