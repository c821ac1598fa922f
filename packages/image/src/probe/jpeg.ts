/** The header of a JPEG (ITU T.81 annex B): its frame header, and the orientation in its EXIF segment. */
import { Format } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import type { ImageHeader } from '../info.ts';
import { exifOrientation } from './exif.ts';
import type { HeadReader } from './reader.ts';

const startOfScan = 0xda;
const endOfImage = 0xd9;
const app1 = 0xe1;

export function isJpeg(reader: HeadReader): boolean {
  return reader.u16(0) === 0xffd8 && reader.u8(2) === 0xff;
}

/** Walks the segments up to the first scan, as decoders do: EXIF may stand behind the frame header. */
export function probeJpeg(reader: HeadReader): ImageHeader {
  let frame: Pick<ImageHeader, 'width' | 'height' | 'channels' | 'bitDepth'> | undefined;
  let orientation: number | undefined;
  for (const { marker, start, end } of jpegSegments(reader)) {
    if (marker === app1 && orientation === undefined) orientation = segmentOrientation(reader, start, end);
    if (isFrameHeader(marker) && frame === undefined) frame = readFrame(reader, marker, start, end);
  }
  if (frame === undefined) throw damaged('it has no frame header');
  return { format: Format.JPEG, ...frame, orientation: orientation ?? 1, hasAlpha: false, frames: 1 };
}

/** One marker segment: `start` to `end` is its payload, without marker and length. */
export interface JpegSegment {
  readonly marker: number;
  readonly start: number;
  readonly end: number;
}

/** The segments before the first scan. Throws DAMAGED_IMAGE where the chain breaks. */
export function* jpegSegments(reader: HeadReader): Generator<JpegSegment> {
  let at = 2;
  for (;;) {
    if (reader.u8(at) !== 0xff) throw damaged('its marker segments do not follow each other');
    const marker = reader.u8(at + 1);
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    if (marker === startOfScan || marker === endOfImage) return;
    if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += 2;
      continue;
    }
    const length = reader.u16(at + 2);
    if (length < 2) throw damaged('a marker segment has no length');
    yield { marker, start: at + 4, end: at + 2 + length };
    at += 2 + length;
  }
}

/** SOF0 to SOF15 without DHT, JPG and DAC. */
function isFrameHeader(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

function readFrame(reader: HeadReader, marker: number, start: number, end: number) {
  if (end - start < 6) throw damaged('its frame header is too short');
  const bitDepth = reader.u8(start);
  const height = reader.u16(start + 1);
  const width = reader.u16(start + 3);
  const channels = reader.u8(start + 5);
  const isSupported = [0xc0, 0xc1, 0xc2, 0xc9, 0xca].includes(marker) && bitDepth === 8;
  if (!isSupported) {
    throw new MeshError(
      'UNSUPPORTED_FORMAT',
      'the image is a lossless, hierarchical or 12-bit JPEG, which is not read',
      {
        metadata: { format: 'JPEG', bitDepth: String(bitDepth) },
      },
    );
  }
  if (width === 0 || height === 0) throw damaged('its frame header has no size');
  if (channels !== 1 && channels !== 3 && channels !== 4) throw damaged(`it has ${channels} channels`);
  return { width, height, channels, bitDepth };
}

function segmentOrientation(reader: HeadReader, start: number, end: number): number | undefined {
  if (end - start < 6 || !reader.startsWith(start, 'Exif\0\0')) return undefined;
  return exifOrientation(reader.bytes(start + 6, end - start - 6));
}

function damaged(why: string): MeshError {
  return new MeshError('DAMAGED_IMAGE', `the JPEG is damaged: ${why}`, { metadata: { format: 'JPEG' } });
}
