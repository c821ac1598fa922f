/** The first directory of a TIFF 6. */
import { Format } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import type { ImageHeader } from '../info.ts';
import type { HeadReader } from './reader.ts';

export function isTiff(reader: HeadReader): boolean {
  return reader.startsWith(0, 'II*\0') || reader.startsWith(0, 'MM\0*');
}

const tags = {
  width: 256,
  height: 257,
  bits: 258,
  photometric: 262,
  orientation: 274,
  samples: 277,
  extraSamples: 338,
} as const;

/** Directories have a few dozen entries. */
const maxEntries = 512;

/** Several pages make `frames` 2. The directory may stand anywhere in the file. */
export function probeTiff(reader: HeadReader): ImageHeader {
  const isLittle = reader.u8(0) === 0x49;
  const directory = reader.u32(4, isLittle);
  const count = reader.u16(directory, isLittle);
  if (count === 0 || count > maxEntries) throw damaged(`its directory has ${count} entries`);
  const values = new Map<number, number>();
  for (let entry = 0; entry < count; entry++) {
    const at = directory + 2 + 12 * entry;
    values.set(reader.u16(at, isLittle), firstValue(reader, at, isLittle));
  }
  const next = reader.u32(directory + 2 + 12 * count, isLittle);
  return { ...toHeader(values), frames: next === 0 ? 1 : 2 };
}

function toHeader(values: ReadonlyMap<number, number>): Omit<ImageHeader, 'frames'> {
  const of = (tag: number, fallback: number) => values.get(tag) ?? fallback;
  const size = { width: of(tags.width, 0), height: of(tags.height, 0) };
  if (size.width === 0 || size.height === 0) throw damaged('it has no size');
  const bitDepth = of(tags.bits, 1);
  if (bitDepth > 16) {
    throw new MeshError(
      'UNSUPPORTED_FORMAT',
      `the image is a TIFF of ${bitDepth} bits a sample; up to 16 are read`,
      {
        metadata: { format: 'TIFF', bitDepth: String(bitDepth) },
      },
    );
  }
  const samples = of(tags.samples, 1);
  const isPalette = of(tags.photometric, 0) === 3;
  const orientation = of(tags.orientation, 1);
  return {
    format: Format.TIFF,
    ...size,
    orientation: orientation >= 1 && orientation <= 8 ? orientation : 1,
    channels: isPalette ? 3 : samples,
    bitDepth,
    hasAlpha: values.has(tags.extraSamples),
  };
}

/** The first value of an entry of the types BYTE, SHORT and LONG; of more than fit into the entry, that at the offset. */
function firstValue(reader: HeadReader, at: number, isLittle: boolean): number {
  const type = reader.u16(at + 2, isLittle);
  const count = reader.u32(at + 4, isLittle);
  const size = [0, 1, 1, 2, 4][type] ?? 0;
  if (size === 0) return 0;
  const from = size * count <= 4 ? at + 8 : reader.u32(at + 8, isLittle);
  if (size === 1) return reader.u8(from);
  return size === 2 ? reader.u16(from, isLittle) : reader.u32(from, isLittle);
}

function damaged(why: string): MeshError {
  return new MeshError('DAMAGED_IMAGE', `the TIFF is damaged: ${why}`, { metadata: { format: 'TIFF' } });
}
