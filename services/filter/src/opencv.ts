/**
 * The only door to OpenCV: third_party/opencv, built with SIMD and without threads.
 *
 * - C++ exceptions arrive as bare numbers (pointers); `opencvFailure` makes errors of them.
 * - The heap starts at 128 MiB, grows up to 1 GiB and never shrinks. A view into it (`Mat.data`) is detached when
 *   the heap grows: ask for it anew after any call that allocates.
 */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** A matrix in the wasm heap. It lives until `delete()`. */
export interface Mat {
  readonly rows: number;
  readonly cols: number;
  /** All samples of 8 bits, as a view into the heap. */
  readonly data: Uint8Array;
  /** The same memory as 32-bit floats. */
  readonly data32F: Float32Array;
  channels(): number;
  /** A header for a part of the same memory. */
  roi(rect: Rect): Mat;
  copyTo(target: Mat): void;
  /** Sets all samples. */
  setTo(value: object): Mat;
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

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Clahe {
  apply(source: Mat, target: Mat): void;
  delete(): void;
}

export interface RectVector {
  size(): number;
  get(index: number): Rect;
  delete(): void;
}

export interface CascadeClassifier {
  /** From a file of Emscripten's file system; false: it is not a cascade. */
  load(path: string): boolean;
  detectMultiScale(
    grey: Mat,
    found: RectVector,
    scaleFactor: number,
    minNeighbors: number,
    flags: number,
    minSize: CvSize,
    maxSize: CvSize,
  ): void;
}

type Constant =
  | 'CV_8UC1'
  | 'CV_8UC2'
  | 'CV_8UC3'
  | 'CV_8UC4'
  | 'CV_16S'
  | 'CV_32FC1'
  | 'CV_32FC2'
  | 'BORDER_DEFAULT'
  | 'BORDER_CONSTANT'
  | 'INTER_AREA'
  | 'INTER_LINEAR'
  | 'INTER_NEAREST'
  | 'COLOR_GRAY2RGB'
  | 'COLOR_RGB2BGR'
  | 'COLOR_RGBA2BGR'
  | 'COLOR_RGBA2RGB'
  | 'COLOR_RGB2RGBA'
  | 'COLOR_RGB2GRAY'
  | 'COLOR_RGBA2GRAY'
  | 'COLOR_RGB2YCrCb'
  | 'COLOR_YCrCb2RGB'
  | 'ROTATE_90_CLOCKWISE'
  | 'ROTATE_180'
  | 'ROTATE_90_COUNTERCLOCKWISE'
  | 'THRESH_BINARY'
  | 'THRESH_BINARY_INV'
  | 'THRESH_TRUNC'
  | 'THRESH_TOZERO'
  | 'THRESH_TOZERO_INV'
  | 'THRESH_OTSU'
  | 'ADAPTIVE_THRESH_MEAN_C'
  | 'ADAPTIVE_THRESH_GAUSSIAN_C'
  | 'MORPH_ERODE'
  | 'MORPH_DILATE'
  | 'MORPH_OPEN'
  | 'MORPH_CLOSE'
  | 'MORPH_GRADIENT'
  | 'MORPH_TOPHAT'
  | 'MORPH_BLACKHAT'
  | 'MORPH_RECT'
  | 'MORPH_CROSS'
  | 'MORPH_ELLIPSE';

/** The part of OpenCV that the kernels use. What is added here must be in third_party/opencv/functions.py. */
export interface OpenCv extends Readonly<Record<Constant, number>> {
  readonly Mat: { new (): Mat; new (rows: number, cols: number, type: number): Mat };
  readonly MatVector: new () => MatVector;
  readonly RectVector: new () => RectVector;
  readonly Rect: new (x: number, y: number, width: number, height: number) => Rect;
  readonly Size: new (width: number, height: number) => CvSize;
  readonly Point: new (x: number, y: number) => Point;
  readonly Scalar: new (...values: readonly number[]) => object;
  readonly CascadeClassifier: new () => CascadeClassifier;
  readonly CLAHE: new (clipLimit: number, tiles: CvSize) => Clahe;

  blur(source: Mat, target: Mat, size: CvSize): void;
  GaussianBlur(source: Mat, target: Mat, size: CvSize, sigmaX: number, sigmaY: number, border: number): void;
  medianBlur(source: Mat, target: Mat, size: number): void;
  bilateralFilter(
    source: Mat,
    target: Mat,
    diameter: number,
    sigmaColor: number,
    sigmaSpace: number,
    border: number,
  ): void;
  filter2D(
    source: Mat,
    target: Mat,
    depth: number,
    kernel: Mat,
    anchor: Point,
    offset: number,
    border: number,
  ): void;
  Canny(source: Mat, edges: Mat, low: number, high: number, aperture: number, l2Gradient: boolean): void;
  Sobel(
    source: Mat,
    target: Mat,
    depth: number,
    dx: number,
    dy: number,
    size: number,
    scale: number,
    offset: number,
    border: number,
  ): void;
  Laplacian(
    source: Mat,
    target: Mat,
    depth: number,
    size: number,
    scale: number,
    offset: number,
    border: number,
  ): void;
  convertScaleAbs(source: Mat, target: Mat, scale: number, offset: number): void;
  threshold(source: Mat, target: Mat, value: number, maximum: number, type: number): number;
  adaptiveThreshold(
    source: Mat,
    target: Mat,
    maximum: number,
    method: number,
    type: number,
    size: number,
    offset: number,
  ): void;
  getStructuringElement(shape: number, size: CvSize): Mat;
  morphologyEx(source: Mat, target: Mat, kind: number, element: Mat, anchor: Point, iterations: number): void;
  cvtColor(source: Mat, target: Mat, code: number): void;
  equalizeHist(source: Mat, target: Mat): void;
  LUT(source: Mat, table: Mat, target: Mat): void;
  transform(source: Mat, target: Mat, matrix: Mat): void;
  addWeighted(a: Mat, alpha: number, b: Mat, beta: number, offset: number, target: Mat): void;
  absdiff(a: Mat, b: Mat, target: Mat): void;
  bitwise_not(source: Mat, target: Mat): void;
  bitwise_and(a: Mat, b: Mat, target: Mat): void;
  bitwise_or(a: Mat, b: Mat, target: Mat): void;
  flip(source: Mat, target: Mat, code: number): void;
  rotate(source: Mat, target: Mat, code: number): void;
  resize(source: Mat, target: Mat, size: CvSize, fx: number, fy: number, interpolation: number): void;
  getPerspectiveTransform(from: Mat, to: Mat): Mat;
  warpPerspective(
    source: Mat,
    target: Mat,
    matrix: Mat,
    size: CvSize,
    interpolation: number,
    border: number,
    value: object,
  ): void;
  mixChannels(sources: MatVector, targets: MatVector, fromTo: readonly number[]): void;

  /** Makes a file of Emscripten's file system. */
  FS_createDataFile(
    folder: string,
    name: string,
    data: Uint8Array,
    canRead: boolean,
    canWrite: boolean,
    canOwn: boolean,
  ): void;
  exceptionFromPtr(pointer: number): { readonly code: number; readonly msg: string };
  /** The whole heap; its length tells how far the heap has grown. */
  readonly HEAPU8: Uint8Array;
}

/** The same folder from `src` and from `dist`. */
const folder = new URL('../../../third_party/opencv/', import.meta.url);

/** Loads OpenCV, about 70 ms of work. Once a worker thread: each instance has a heap of its own. */
export async function loadOpencv(): Promise<OpenCv> {
  // Emscripten's factory; what of the module is used stands above.
  const create = createRequire(import.meta.url)(fileURLToPath(new URL('opencv.cjs', folder))) as (options: {
    readonly wasmBinary: Uint8Array;
  }) => Promise<OpenCv>;
  return create({ wasmBinary: await readFile(new URL('opencv.wasm', folder)) });
}

/** Loads the cascade that finds faces, about 30 ms of work; it lives as long as `cv`. */
export function loadFaceCascade(cv: OpenCv): CascadeClassifier {
  const name = 'haarcascade_frontalface_alt2.xml';
  cv.FS_createDataFile('/', name, readFileSync(new URL(name, folder)), true, false, false);
  const cascade = new cv.CascadeClassifier();
  if (!cascade.load(`/${name}`)) throw new Error(`${name} is not a cascade`);
  return cascade;
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
