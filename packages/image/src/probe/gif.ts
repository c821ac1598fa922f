/** The header of a GIF (87a or 89a), and its frames. */
import { Format } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import type { ImageHeader } from '../info.ts';
import { type FrameWalk, framesIn, type Needed } from './frame-walk.ts';
import type { HeadReader } from './reader.ts';

export function isGif(reader: HeadReader): boolean {
  return reader.startsWith(0, 'GIF87a') || reader.startsWith(0, 'GIF89a');
}

/** With less than the whole file, `frames` is 2 as soon as there is a second. */
export function probeGif(reader: HeadReader): ImageHeader {
  const size = { width: reader.u16(6, true), height: reader.u16(8, true) };
  if (size.width === 0 || size.height === 0) throw damaged('its screen has no size');
  const frames = framesIn(reader, gifFrames());
  if (frames === 0) throw damaged('it has no frame');
  // Any frame may leave pixels of the screen unset.
  return { format: Format.GIF, ...size, orientation: 1, channels: 4, bitDepth: 8, hasAlpha: true, frames };
}

const extension = 0x21;
const image = 0x2c;

/** A file that ends early shows what it has; whether it decodes is the decoder's to say. */
export function* gifFrames(): FrameWalk {
  let frames = 0;
  let at = 13 + colourTableBytes(yield* byteAt(10, frames));
  for (;;) {
    const kind = yield* byteAt(at, frames);
    if (kind === extension) {
      at = yield* afterBlocks(at + 2, frames);
    } else if (kind === image) {
      frames += 1;
      // The descriptor, its colours, and the first code's size.
      at = yield* afterBlocks(at + 10 + colourTableBytes(yield* byteAt(at + 9, frames)) + 1, frames);
    } else {
      // The trailer, or what decoders take for one.
      return frames;
    }
  }
}

/** Behind a run of sub-blocks. Each takes at least one byte, so this ends. */
function* afterBlocks(from: number, frames: number): Generator<Needed, number, Uint8Array> {
  let at = from;
  for (;;) {
    const length = yield* byteAt(at, frames);
    at += 1 + length;
    if (length === 0) return at;
  }
}

function* byteAt(at: number, frames: number): Generator<Needed, number, Uint8Array> {
  const [value = 0] = yield { at, length: 1, frames };
  return value;
}

function colourTableBytes(flags: number): number {
  return (flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1);
}

function damaged(why: string): MeshError {
  return new MeshError('DAMAGED_IMAGE', `the GIF is damaged: ${why}`, { metadata: { format: 'GIF' } });
}
