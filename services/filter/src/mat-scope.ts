/** Mats with an end: whatever a scope made or took over is deleted when the scope ends, but for the one it returns. */
import type { Mat, MatVector, OpenCv } from './opencv.ts';

export interface MatScope {
  /** A new, empty Mat. */
  mat(): Mat;
  /** A new Mat of that size with unset samples of 8 bits. */
  sized(rows: number, cols: number, channels: number): Mat;
  /** A new vector of these Mats. */
  vector(mat: Mat): MatVector;
  /** Takes a Mat over, to be deleted with the rest. */
  own(mat: Mat): Mat;
  /** Deletes a Mat of the scope early: memory is what limits the size of images. */
  free(mat: Mat): void;
}

/** Runs `use`; a Mat that it returns is the caller's to delete, everything else is deleted, also after an error. */
export function withMats<Result>(cv: OpenCv, use: (scope: MatScope) => Result): Result {
  const owned = new Set<Mat | MatVector>();
  let result: Result | undefined;
  const own = <Owned extends Mat | MatVector>(value: Owned): Owned => {
    owned.add(value);
    return value;
  };
  try {
    result = use({
      own,
      mat: () => own(new cv.Mat()),
      sized: (rows, cols, channels) => own(new cv.Mat(rows, cols, typeOf(cv, channels))),
      vector(mat) {
        const vector = own(new cv.MatVector());
        vector.push_back(mat);
        return vector;
      },
      free(mat) {
        if (owned.delete(mat)) mat.delete();
      },
    });
    return result;
  } finally {
    for (const value of owned) if (value !== result) value.delete();
  }
}

/** OpenCV's type of an 8-bit Mat with 1 to 4 channels. */
export function typeOf(cv: OpenCv, channels: number): number {
  const type = [cv.CV_8UC1, cv.CV_8UC2, cv.CV_8UC3, cv.CV_8UC4][channels - 1];
  if (type === undefined) throw new RangeError(`a Mat has 1 to 4 channels, not ${channels}`);
  return type;
}
