/** The orientation in an EXIF block (TIFF 6, EXIF 2.32 §4.6.4). */
import { createHeadReader, type HeadReader } from './reader.ts';

const orientationTag = 0x0112;
const shortType = 3;

/** The place of the orientation's value in a TIFF block, if it has one in IFD0. */
export interface OrientationEntry {
  readonly value: number;
  /** Offset of the 16-bit value. */
  readonly at: number;
  readonly isLittle: boolean;
}

/** The EXIF orientation, 1 to 8; 1 where there is none or it makes no sense. Never throws. */
export function exifOrientation(tiff: Uint8Array): number {
  const value = findOrientation(tiff)?.value ?? 1;
  return value >= 1 && value <= 8 ? value : 1;
}

/** Finds the orientation in IFD0 of a TIFF block. Never throws. */
export function findOrientation(tiff: Uint8Array): OrientationEntry | undefined {
  for (const entry of ifd0Entries(tiff)) {
    if (entry.tag !== orientationTag || entry.type !== shortType) continue;
    return {
      value: entry.reader.u16(entry.at + 8, entry.isLittle),
      at: entry.at + 8,
      isLittle: entry.isLittle,
    };
  }
  return undefined;
}

/** One 12-byte entry of an IFD. */
export interface IfdEntry {
  readonly tag: number;
  readonly type: number;
  readonly count: number;
  /** Offset of the entry; its value, or the value's offset, stands 8 bytes on. */
  readonly at: number;
  readonly isLittle: boolean;
  readonly reader: HeadReader;
}

/** The whole entries of IFD0, as many as lie inside the block; at most 65,535. */
export function* ifd0Entries(tiff: Uint8Array): Generator<IfdEntry> {
  if (tiff.length < 8) return;
  const reader = createHeadReader(tiff);
  const order = reader.u16(0);
  if (order !== 0x4949 && order !== 0x4d4d) return;
  const isLittle = order === 0x4949;
  if (reader.u16(2, isLittle) !== 42) return;
  const ifd = reader.u32(4, isLittle);
  if (ifd + 2 > tiff.length) return;
  const count = reader.u16(ifd, isLittle);
  for (let index = 0; index < count; index++) {
    const at = ifd + 2 + index * 12;
    if (at + 12 > tiff.length) return;
    const tag = reader.u16(at, isLittle);
    const type = reader.u16(at + 2, isLittle);
    yield { tag, type, count: reader.u32(at + 4, isLittle), at, isLittle, reader };
  }
}
