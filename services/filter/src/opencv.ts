/**
 * The only door to opencv-wasm (OpenCV 4.3.0, no SIMD, no threads).
 *
 * - It loads synchronously. Never await `cv`: it is a thenable that resolves to itself.
 * - Only worker threads load it: on load it hangs itself into `process.on('uncaughtException')` and
 *   `('unhandledRejection')` and would turn either into an abort of the service; a thread has a `process` of its own,
 *   and the two listeners are taken off again there.
 * - C++ exceptions arrive as bare numbers (pointers); `opencvError` makes errors of them.
 * - The heap starts at 128 MiB, doubles up to 1 GiB and never shrinks. A view into it (`Mat.data`) is detached when
 *   the heap grows: ask for it anew after any call that allocates.
 */
import { createRequire } from 'node:module';

/** A matrix in the wasm heap. It lives until `delete()`. */
export interface Mat {
  readonly rows: number;
  readonly cols: number;
  /** All samples, as a view into the heap. */
  readonly data: Uint8Array;
  channels(): number;
  /** A header for a part of the same memory. */
  roi(rect: Rect): Mat;
  copyTo(target: Mat): void;
  delete(): void;
}

export interface MatVector {
  push_back(mat: Mat): void;
  delete(): void;
}

export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Width and height; deliberately distinct from Rect. */
export interface CvSize {
  readonly width: number;
  readonly height: number;
}

/** The part of OpenCV that the kernels use. */
export interface OpenCv {
  readonly Mat: { new (): Mat; new (rows: number, cols: number, type: number): Mat };
  readonly MatVector: new () => MatVector;
  readonly Rect: new (x: number, y: number, width: number, height: number) => Rect;
  readonly Size: new (width: number, height: number) => CvSize;

  readonly CV_8UC1: number;
  readonly CV_8UC2: number;
  readonly CV_8UC3: number;
  readonly CV_8UC4: number;
  readonly BORDER_DEFAULT: number;
  readonly COLOR_RGB2BGR: number;
  readonly COLOR_RGBA2BGR: number;
  readonly COLOR_RGBA2RGB: number;
  readonly COLOR_RGB2RGBA: number;
  readonly COLOR_RGB2GRAY: number;
  readonly COLOR_RGBA2GRAY: number;
  readonly ROTATE_90_CLOCKWISE: number;
  readonly ROTATE_180: number;
  readonly ROTATE_90_COUNTERCLOCKWISE: number;

  blur(source: Mat, target: Mat, size: CvSize): void;
  GaussianBlur(source: Mat, target: Mat, size: CvSize, sigmaX: number, sigmaY: number, border: number): void;
  medianBlur(source: Mat, target: Mat, size: number): void;
  Canny(source: Mat, edges: Mat, low: number, high: number, aperture: number, l2Gradient: boolean): void;
  cvtColor(source: Mat, target: Mat, code: number): void;
  flip(source: Mat, target: Mat, code: number): void;
  rotate(source: Mat, target: Mat, code: number): void;
  mixChannels(sources: MatVector, targets: MatVector, fromTo: readonly number[]): void;

  exceptionFromPtr(pointer: number): { readonly code: number; readonly msg: string };
  /** The whole heap; its length tells how far the heap has grown. */
  readonly HEAPU8: Uint8Array;
}

const hookedEvents = ['uncaughtException', 'unhandledRejection'] as const;

/** Loads OpenCV, about 100 ms of work. Call it once in a worker thread. */
export function loadOpencv(): OpenCv {
  const before = hookedEvents.map((event) => new Set<unknown>(process.rawListeners(event)));
  // The package's own types are loose, and TypeScript source; what we use of it is declared above.
  const { cv } = createRequire(import.meta.url)('opencv-wasm') as { cv: OpenCv };
  for (const [index, event] of hookedEvents.entries()) {
    for (const listener of process.rawListeners(event)) {
      // Node types listeners as Function; anything registered is callable.
      if (!before[index]?.has(listener)) process.removeListener(event, listener as () => void);
    }
  }
  return cv;
}

/** What went wrong inside OpenCV. */
export interface OpencvFailure {
  /** `memory`: the heap could not grow. `opencv`: a check of OpenCV's own. `crash`: the instance may be broken. */
  readonly kind: 'memory' | 'opencv' | 'crash';
  readonly error: Error;
}

/** cv::Error::StsNoMem */
const outOfMemory = -4;

/** Translates what a call into OpenCV threw. */
export function opencvFailure(cv: OpenCv, thrown: unknown): OpencvFailure {
  if (typeof thrown !== 'number') {
    return { kind: 'crash', error: thrown instanceof Error ? thrown : new Error(String(thrown)) };
  }
  const { code, msg } = cv.exceptionFromPtr(thrown);
  // Not every C++ exception is a cv::Exception; for others the text is whatever lies in the heap there.
  if (!msg.startsWith('OpenCV('))
    return { kind: 'crash', error: new Error('OpenCV threw a foreign exception') };
  return { kind: code === outOfMemory ? 'memory' : 'opencv', error: new Error(msg.trim()) };
}
