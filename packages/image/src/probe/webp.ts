/** The header of a WebP (RFC 9649): simple lossy (VP8), simple lossless (VP8L) or extended (VP8X). */
import { Format } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import type { ImageHeader } from '../info.ts';
import { exifOrientation } from './exif.ts';
import { type FrameWalk, framesIn } from './frame-walk.ts';
import { createHeadReader, type HeadReader } from './reader.ts';

export function isWebp(reader: HeadReader): boolean {
  return reader.tag(0) === 'RIFF' && reader.tag(8) === 'WEBP';
}

export function probeWebp(reader: HeadReader): ImageHeader {
  const kind = reader.tag(12);
  const still = { format: Format.WEBP, orientation: 1, bitDepth: 8, frames: 1 } as const;
  switch (kind) {
    case 'VP8 ': {
      if (reader.u24le(23) !== 0x2a019d) throw damaged('its key frame does not begin as one');
      const size = { width: reader.u16(26, true) & 0x3fff, height: reader.u16(28, true) & 0x3fff };
      return { ...still, ...checkSize(size), channels: 3, hasAlpha: false };
    }
    case 'VP8L': {
      if (reader.u8(20) !== 0x2f) throw damaged('its lossless stream does not begin as one');
      const bits = reader.u32(21, true);
      const hasAlpha = ((bits >>> 28) & 1) === 1;
      const size = { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
      return { ...still, ...size, channels: hasAlpha ? 4 : 3, hasAlpha };
    }
    case 'VP8X': {
      const flags = reader.u8(20);
      const hasAlpha = (flags & 0x10) !== 0;
      const isAnimated = (flags & 0x02) !== 0;
      const size = { width: reader.u24le(24) + 1, height: reader.u24le(27) + 1 };
      const orientation = (flags & 0x08) === 0 ? 1 : orientationAfter(reader, 30);
      return {
        ...still,
        ...size,
        orientation,
        channels: hasAlpha ? 4 : 3,
        hasAlpha,
        frames: isAnimated ? frameCount(reader) : 1,
      };
    }
    default:
      throw damaged(`it begins with a chunk of the unknown kind ${JSON.stringify(kind)}`);
  }
}

/** With less than the whole file, 2: that there are several stands in the header, how many does not. */
function frameCount(reader: HeadReader): number {
  return reader.length < reader.total ? 2 : Math.max(1, framesIn(reader, webpFrames()));
}

/** To the end of the file: nothing says where the last chunk is. */
export function* webpFrames(): FrameWalk {
  let frames = 0;
  let at = 12;
  for (;;) {
    const head = createHeadReader(yield { at, length: 8, frames });
    if (head.tag(0) === 'ANMF') frames += 1;
    const length = head.u32(4, true);
    at += 8 + length + (length % 2);
  }
}

/** EXIF stands behind the image data. A file that ends before it has none, as far as decoders are concerned. */
function orientationAfter(reader: HeadReader, from: number): number {
  for (const { type, start, end } of riffChunks(reader, from)) {
    if (type !== 'EXIF') continue;
    if (end > reader.total) return 1;
    const block = reader.bytes(start, end - start);
    return exifOrientation(hasExifPrefix(block) ? block.subarray(6) : block);
  }
  return 1;
}

/** Some writers keep JPEG's prefix. */
export function hasExifPrefix(block: Uint8Array): boolean {
  return block.length >= 6 && String.fromCharCode(...block.subarray(0, 6)) === 'Exif\0\0';
}

/** One chunk of a RIFF file: `start` to `end` is its data, without padding. */
export interface RiffChunk {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}

/** The chunks whose headers lie in the file, from `at` on (12 for the first). */
export function* riffChunks(reader: HeadReader, at: number): Generator<RiffChunk> {
  let next = at;
  while (next + 8 <= reader.total) {
    const length = reader.u32(next + 4, true);
    yield { type: reader.tag(next), start: next + 8, end: next + 8 + length };
    next += 8 + length + (length % 2);
  }
}

function checkSize(size: { width: number; height: number }) {
  if (size.width === 0 || size.height === 0) throw damaged('its frame has no size');
  return size;
}

function damaged(why: string): MeshError {
  return new MeshError('DAMAGED_IMAGE', `the WebP is damaged: ${why}`, { metadata: { format: 'WebP' } });
}
