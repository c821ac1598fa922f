/** The header of a PNG (W3C PNG, third edition): IHDR, and from the chunks before the image data acTL, tRNS, eXIf. */
import { Format } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import type { ImageHeader } from '../info.ts';
import { exifOrientation } from './exif.ts';
import type { HeadReader } from './reader.ts';

const palette = 3;
const channelsOf: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 3, 4: 2, 6: 4 };

export function isPng(reader: HeadReader): boolean {
  return reader.u32(0) === 0x89504e47 && reader.u32(4) === 0x0d0a1a0a;
}

export function probePng(reader: HeadReader): ImageHeader {
  if (reader.u32(8) !== 13 || reader.tag(12) !== 'IHDR') throw damaged('it does not begin with IHDR');
  const width = reader.u32(16);
  const height = reader.u32(20);
  const bitDepth = reader.u8(24);
  const colourType = reader.u8(25);
  const colours = channelsOf[colourType];
  if (width === 0 || height === 0 || width > 0x7fffffff || height > 0x7fffffff)
    throw damaged('it has no valid size');
  if (colours === undefined || ![1, 2, 4, 8, 16].includes(bitDepth))
    throw damaged('it has no valid colour type');
  let hasAlpha = colourType === 4 || colourType === 6;
  let frames = 1;
  let orientation = 1;
  for (const { type, start, length } of pngChunks(reader)) {
    if (type === 'acTL') frames = Math.max(frames, reader.u32(start));
    if (type === 'tRNS') hasAlpha = true;
    if (type === 'eXIf' && length <= 65536) orientation = exifOrientation(reader.bytes(start, length));
  }
  const addsAlpha = hasAlpha && (colourType === palette || colourType < 3);
  const channels = colours + (addsAlpha ? 1 : 0);
  return { format: Format.PNG, width, height, orientation, channels, bitDepth, hasAlpha, frames };
}

/** One chunk: `start` is where its data begins. */
export interface PngChunk {
  readonly type: string;
  readonly start: number;
  readonly length: number;
}

/** The chunks between IHDR and the first image data, IHDR left out. */
export function* pngChunks(reader: HeadReader): Generator<PngChunk> {
  let at = 33;
  for (;;) {
    const length = reader.u32(at);
    const type = reader.tag(at + 4);
    if (type === 'IDAT' || type === 'IEND') return;
    if (length > 0x7fffffff || !/^[A-Za-z]{4}$/.test(type))
      throw damaged('its chunks do not follow each other');
    yield { type, start: at + 8, length };
    at += 12 + length;
  }
}

function damaged(why: string): MeshError {
  return new MeshError('DAMAGED_IMAGE', `the PNG is damaged: ${why}`, { metadata: { format: 'PNG' } });
}
