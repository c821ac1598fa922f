/** Puts EXIF, XMP and IPTC blocks and a colour profile into an encoded JPEG, PNG or WebP that has none. Pure. */
import { crc32, deflateSync } from 'node:zlib';
import { Format } from '@imagemesh/api';
import type { CodedFormat } from '../formats.ts';
import { createHeadReader } from '../probe/reader.ts';
import { probeWebp, riffChunks } from '../probe/webp.ts';
import type { Metadata } from '../source.ts';
import { photoshopPrefix, pngXmpKeyword, xmpPrefix } from './read-blocks.ts';

/** A JPEG segment's payload; longer blocks are left out, as the format has no place for them. */
const maxSegmentBytes = 65533;

/** Metadata, and the ICC profile of the pixels; empty for none. */
export type Blocks = Metadata & { readonly icc: Uint8Array };

/** The file with the blocks that its format can hold. AVIF, GIF and TIFF are returned as they are. */
export function writeBlocks(file: Uint8Array, format: CodedFormat, metadata: Blocks): Uint8Array {
  const { exif, xmp, iptc, icc } = metadata;
  if (exif.length + xmp.length + iptc.length + icc.length === 0) return file;
  switch (format) {
    case Format.JPEG:
      return intoJpeg(file, metadata);
    case Format.PNG:
      return intoPng(file, metadata);
    case Format.WEBP:
      return intoWebp(file, metadata);
    case Format.AVIF:
    case Format.GIF:
    case Format.TIFF:
      return file;
    default:
      return format satisfies never;
  }
}

/** Behind SOI and, where there is one, the JFIF segment, which must stay first. */
function intoJpeg(file: Uint8Array, { exif, xmp, iptc, icc }: Blocks): Uint8Array {
  const reader = createHeadReader(file);
  const at = reader.u16(2) === 0xffe0 ? 4 + reader.u16(4) : 2;
  const segments = [
    ...jpegSegment(0xe1, 'Exif\0\0', exif),
    ...jpegSegment(0xe1, xmpPrefix, xmp),
    ...jpegSegment(0xed, photoshopPrefix, iptc),
    ...profileSegments(icc),
  ];
  return Buffer.concat([file.subarray(0, at), ...segments, file.subarray(at)]);
}

/** A profile is split over as many segments as it takes (ICC.1, annex B.4). */
function profileSegments(icc: Uint8Array): readonly Uint8Array[] {
  const prefix = 'ICC_PROFILE\0';
  const room = maxSegmentBytes - prefix.length - 2;
  const count = Math.ceil(icc.length / room);
  if (count > 255) return [];
  return Array.from({ length: count }, (_, at) =>
    jpegSegment(
      0xe2,
      prefix,
      Buffer.concat([Buffer.from([at + 1, count]), icc.subarray(at * room, (at + 1) * room)]),
    ),
  ).flat();
}

function jpegSegment(marker: number, prefix: string, block: Uint8Array): readonly Uint8Array[] {
  const length = prefix.length + block.length;
  if (block.length === 0 || length > maxSegmentBytes) return [];
  const head = Buffer.from([0xff, marker, 0, 0]);
  head.writeUInt16BE(length + 2, 2);
  return [head, Buffer.from(prefix, 'latin1'), block];
}

/** Behind IHDR. */
function intoPng(file: Uint8Array, { exif, xmp, icc }: Blocks): Uint8Array {
  const at = 33;
  const chunks: Uint8Array[] = [];
  if (icc.length > 0) {
    // A name, and the method: deflate.
    chunks.push(pngChunk('iCCP', Buffer.concat([Buffer.from('ICC\0\0', 'latin1'), deflateSync(icc)])));
  }
  if (exif.length > 0) chunks.push(pngChunk('eXIf', exif));
  if (xmp.length > 0) {
    // Not compressed, no language, no translated keyword.
    const head = Buffer.from(`${pngXmpKeyword}\0\0\0\0`, 'latin1');
    chunks.push(pngChunk('iTXt', Buffer.concat([head, xmp])));
  }
  return Buffer.concat([file.subarray(0, at), ...chunks, file.subarray(at)]);
}

function pngChunk(type: string, data: Uint8Array): Uint8Array {
  const chunk = Buffer.alloc(12 + data.length);
  chunk.writeUInt32BE(data.length, 0);
  chunk.write(type, 4, 'latin1');
  chunk.set(data, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length);
  return chunk;
}

/** The profile before the pixels, the rest behind them, in a file of the extended kind. */
function intoWebp(file: Uint8Array, { exif, xmp, icc }: Blocks): Uint8Array {
  const reader = createHeadReader(file);
  const header = probeWebp(reader);
  const isExtended = reader.tag(12) === 'VP8X';
  const extended = Buffer.alloc(18);
  extended.write('VP8X', 0, 'latin1');
  extended.writeUInt32LE(10, 4);
  extended[8] =
    (isExtended ? reader.u8(20) : header.hasAlpha ? 0x10 : 0) |
    (icc.length > 0 ? 0x20 : 0) |
    (exif.length > 0 ? 0x08 : 0) |
    (xmp.length > 0 ? 0x04 : 0);
  extended.writeUIntLE(header.width - 1, 12, 3);
  extended.writeUIntLE(header.height - 1, 15, 3);
  const chunks = [...riffChunks(reader, isExtended ? 30 : 12)].map(({ start, end }) =>
    file.subarray(start - 8, Math.min(end + (end % 2), file.length)),
  );
  const parts = [extended, ...(icc.length > 0 ? [riffChunk('ICCP', icc)] : []), ...chunks];
  if (exif.length > 0) parts.push(riffChunk('EXIF', exif));
  if (xmp.length > 0) parts.push(riffChunk('XMP ', xmp));
  const riff = Buffer.alloc(12);
  riff.write('RIFF', 0, 'latin1');
  riff.writeUInt32LE(4 + parts.reduce((sum, part) => sum + part.length, 0), 4);
  riff.write('WEBP', 8, 'latin1');
  return Buffer.concat([riff, ...parts]);
}

function riffChunk(type: string, data: Uint8Array): Uint8Array {
  const chunk = Buffer.alloc(8 + data.length + (data.length % 2));
  chunk.write(type, 0, 'latin1');
  chunk.writeUInt32LE(data.length, 4);
  chunk.set(data, 8);
  return chunk;
}
