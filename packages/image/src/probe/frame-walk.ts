/**
 * Counts the frames of an animation. A walk names the few bytes that it needs next, so that the same walk counts in a
 * file at hand and in one that is still coming, of which nothing is kept.
 */
import type { HeadReader } from './reader.ts';

/** Bytes that a walk needs; they lie behind those that it needed before. `frames` begin before them. */
export interface Needed {
  readonly at: number;
  readonly length: number;
  readonly frames: number;
}

/** Is given the bytes that it names; returns the number of frames, or goes on to the end of the file. */
export type FrameWalk = Generator<Needed, number, Uint8Array>;

/**
 * Frames in the bytes at hand. With less than the whole file 2 as soon as there is a second; a whole file that ends early
 * has those that begin in it. Throws BeyondHead.
 */
export function framesIn(reader: HeadReader, walk: FrameWalk): number {
  const isWhole = reader.length >= reader.total;
  let step = walk.next();
  while (step.done !== true) {
    const { at, length, frames } = step.value;
    const isEnd = isWhole ? at + length > reader.length : frames >= 2;
    if (isEnd) return frames;
    step = walk.next(reader.bytes(at, length));
  }
  return step.value;
}

/** Counts while a file comes. */
export interface FrameCounter {
  /** Frames that have begun so far. */
  readonly frames: number;
  /** The next bytes of the file, from its first on. */
  push(bytes: Uint8Array): void;
}

export function createFrameCounter(walk: FrameWalk): FrameCounter {
  let step = walk.next();
  let seenBytes = 0;
  /** Of what the walk needs, the part that has come. */
  let part: Uint8Array = new Uint8Array(0);

  return {
    get frames() {
      return step.done === true ? step.value : step.value.frames;
    },
    push(bytes) {
      const start = seenBytes;
      seenBytes += bytes.length;
      while (step.done !== true) {
        const { at, length } = step.value;
        const from = at + part.length - start;
        if (from >= bytes.length) return;
        const fresh = bytes.subarray(from, from + length - part.length);
        part = part.length === 0 ? fresh : Buffer.concat([part, fresh]);
        if (part.length < length) return;
        step = walk.next(part);
        part = new Uint8Array(0);
      }
    },
  };
}
