/**
 * The header of an AVIF: properties of the primary item (ISO/IEC 23008-12 and AV1 Image File Format 1.1).
 *
 * Decoders apply the item's own transforms (clap, irot, imir) themselves, so width and height are those after them.
 */
import { Format } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import type { ImageHeader, Size } from '../info.ts';
import type { HeadReader } from './reader.ts';

const heicBrands = new Set(['heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'hevm', 'hevs', 'mif1', 'msf1']);
/** A real file has a handful of boxes, items and properties. */
const maxBoxes = 4096;

/** "avif" where the file type says AVIF, "heic" where it is another HEIF, else undefined. */
export function isobmffKind(reader: HeadReader): 'avif' | 'heic' | undefined {
  if (reader.tag(4) !== 'ftyp') return undefined;
  const brands = readBrands(reader);
  if (brands.some((brand) => brand === 'avif' || brand === 'avis')) return 'avif';
  return brands.some((brand) => heicBrands.has(brand)) ? 'heic' : undefined;
}

export function probeAvif(reader: HeadReader): ImageHeader {
  const meta = findBox(reader, 0, reader.total, 'meta');
  // A full box: version and flags come first.
  const inMeta = { start: meta.start + 4, end: meta.end };
  const primary = readPrimaryItem(reader, inMeta);
  const iprp = findBox(reader, inMeta.start, inMeta.end, 'iprp');
  const properties = [...boxes(reader, ...span(findBox(reader, iprp.start, iprp.end, 'ipco')))];
  const associations = readAssociations(reader, findBox(reader, iprp.start, iprp.end, 'ipma'));
  const propertiesOf = (item: number) =>
    (associations.get(item) ?? []).map((index) => properties[index - 1]).filter((box) => box !== undefined);

  const own = propertiesOf(primary);
  const size = transformedSize(reader, own);
  const pixi = own.find(({ type }) => type === 'pixi');
  const colours = pixi === undefined ? 0 : reader.u8(pixi.start + 4);
  const bitDepth = pixi === undefined || colours === 0 ? 0 : reader.u8(pixi.start + 5);
  const hasAlpha = [...associations.keys()].some(
    (item) => item !== primary && propertiesOf(item).some(isAlpha),
  );
  const channels = colours === 0 ? 0 : Math.min(4, colours + (hasAlpha ? 1 : 0));
  const frames = reader.tag(8) === 'avis' ? 2 : 1;
  return { format: Format.AVIF, ...size, orientation: 1, channels, bitDepth, hasAlpha, frames };

  function isAlpha({ type, start, end }: Box): boolean {
    if (type !== 'auxC') return false;
    const kind = new TextDecoder('latin1').decode(reader.bytes(start + 4, Math.min(end - start - 4, 64)));
    return (
      kind.startsWith('urn:mpeg:mpegB:cicp:systems:auxiliary:alpha') ||
      kind.startsWith('urn:mpeg:hevc:2015:auxid:1')
    );
  }
}

/** A box: `start` to `end` is its content. */
interface Box {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

function span({ start, end }: Span): [number, number] {
  return [start, end];
}

function* boxes(reader: HeadReader, from: number, to: number): Generator<Box> {
  let at = from;
  for (let count = 0; at + 8 <= to; count++) {
    if (count >= maxBoxes) throw damaged('it has too many boxes');
    let length = reader.u32(at);
    let header = 8;
    if (length === 1) {
      // 64-bit length; no still image needs the upper half.
      if (reader.u32(at + 8) !== 0) throw damaged('a box is too long');
      length = reader.u32(at + 12);
      header = 16;
    }
    const end = length === 0 ? to : at + length;
    if (end < at + header || end > to) throw damaged('a box does not end inside the one around it');
    yield { type: reader.tag(at + 4), start: at + header, end };
    at = end;
  }
}

function findBox(reader: HeadReader, from: number, to: number, type: string): Box {
  for (const box of boxes(reader, from, to)) if (box.type === type) return box;
  throw damaged(`it has no ${type} box`);
}

function readBrands(reader: HeadReader): readonly string[] {
  const end = Math.min(reader.u32(0), 256);
  const brands = [reader.tag(8)];
  for (let at = 16; at + 4 <= end; at += 4) brands.push(reader.tag(at));
  return brands;
}

function readPrimaryItem(reader: HeadReader, meta: Span): number {
  const { start } = findBox(reader, meta.start, meta.end, 'pitm');
  return reader.u8(start) === 0 ? reader.u16(start + 4) : reader.u32(start + 4);
}

/** Property indices (from 1) by item, in order. */
function readAssociations(reader: HeadReader, { start, end }: Box): ReadonlyMap<number, readonly number[]> {
  const isWide = reader.u8(start) !== 0;
  const hasLargeIndex = (reader.u8(start + 3) & 1) === 1;
  const items = reader.u32(start + 4);
  if (items > maxBoxes) throw damaged('it has too many items');
  const found = new Map<number, readonly number[]>();
  let at = start + 8;
  for (let item = 0; item < items && at < end; item++) {
    const id = isWide ? reader.u32(at) : reader.u16(at);
    at += isWide ? 4 : 2;
    const count = reader.u8(at);
    at += 1;
    const indices: number[] = [];
    for (let index = 0; index < count; index++) {
      indices.push(hasLargeIndex ? reader.u16(at) & 0x7fff : reader.u8(at) & 0x7f);
      at += hasLargeIndex ? 2 : 1;
    }
    found.set(id, indices);
  }
  return found;
}

function transformedSize(reader: HeadReader, properties: readonly Box[]): Size {
  let size: Size | undefined;
  for (const { type, start } of properties) {
    if (type === 'ispe') size = { width: reader.u32(start + 4), height: reader.u32(start + 8) };
    else if (size === undefined) continue;
    else if (type === 'clap') {
      size = { width: fraction(reader, start), height: fraction(reader, start + 8) };
    } else if (type === 'irot' && reader.u8(start) % 2 === 1) {
      size = { width: size.height, height: size.width };
    }
  }
  if (size === undefined || size.width === 0 || size.height === 0) throw damaged('it has no size');
  return size;
}

function fraction(reader: HeadReader, at: number): number {
  const denominator = reader.u32(at + 4);
  return denominator === 0 ? 0 : Math.round(reader.u32(at) / denominator);
}

function damaged(why: string): MeshError {
  return new MeshError('DAMAGED_IMAGE', `the AVIF is damaged: ${why}`, { metadata: { format: 'AVIF' } });
}
