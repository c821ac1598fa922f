/** The header of a GIF (87a or 89a), and its frames. */
import { Format } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import type { ImageHeader } from '../info.ts';
import { BeyondHead, type HeadReader } from './reader.ts';

export function isGif(reader: HeadReader): boolean {
  return reader.startsWith(0, 'GIF87a') || reader.startsWith(0, 'GIF89a');
}

/** With less than the whole file, `frames` is 2 as soon as there is a second. */
export function probeGif(reader: HeadReader): ImageHeader {
  const size = { width: reader.u16(6, true), height: reader.u16(8, true) };
  if (size.width === 0 || size.height === 0) throw damaged('its screen has no size');
  const frames = countFrames(reader, 13 + colourTableBytes(reader.u8(10)));
  if (frames === 0) throw damaged('it has no frame');
  // Any frame may leave pixels of the screen unset.
  return { format: Format.GIF, ...size, orientation: 1, channels: 4, bitDepth: 8, hasAlpha: true, frames };
}

function countFrames(reader: HeadReader, from: number): number {
  let frames = 0;
  let at = from;
  try {
    for (;;) {
      const kind = reader.u8(at);
      if (kind === extension) {
        at = afterBlocks(reader, at + 2);
      } else if (kind === image) {
        frames += 1;
        if (frames === 2 && reader.length < reader.total) return frames;
        // The descriptor, its colours, and the first code's size.
        at = afterBlocks(reader, at + 10 + colourTableBytes(reader.u8(at + 9)) + 1);
      } else {
        // The trailer, or what decoders take for one.
        return frames;
      }
    }
  } catch (error) {
    // A file that ends early shows what it has; whether it decodes is the decoder's to say.
    if (error instanceof BeyondHead && reader.length >= reader.total && frames > 0) return frames;
    throw error;
  }
}

const extension = 0x21;
const image = 0x2c;

/** Behind a run of sub-blocks. Each takes at least one byte, so this ends. */
function afterBlocks(reader: HeadReader, from: number): number {
  let at = from;
  for (let length = reader.u8(at); length > 0; length = reader.u8(at)) at += 1 + length;
  return at + 1;
}

function colourTableBytes(flags: number): number {
  return (flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1);
}

function damaged(why: string): MeshError {
  return new MeshError('DAMAGED_IMAGE', `the GIF is damaged: ${why}`, { metadata: { format: 'GIF' } });
}
