/** EXIF blocks as results carry them: with the orientation reset, or only copyright and artist. */
import { findOrientation, ifd0Entries } from '../probe/exif.ts';

const asciiType = 2;
const artistTag = 0x013b;
const copyrightTag = 0x8298;
/** Longer texts are cut: they are names and notices. */
const maxTextBytes = 4096;

/** The block with its orientation, if it has one, set to upright: pixels of results are. */
export function resetOrientation(tiff: Uint8Array): Uint8Array {
  const found = findOrientation(tiff);
  if (found === undefined || found.value === 1) return tiff;
  // A copy: slice() of a Buffer would be a view of the source.
  const copy = new Uint8Array(tiff);
  new DataView(copy.buffer).setUint16(found.at, 1, found.isLittle);
  return copy;
}

/** A fresh block with the artist and copyright of another one; empty if that has neither. */
export function safeExif(tiff: Uint8Array): Uint8Array {
  const texts = new Map<number, Uint8Array>();
  for (const { tag, type, count, at, isLittle, reader } of ifd0Entries(tiff)) {
    if (type !== asciiType || (tag !== artistTag && tag !== copyrightTag) || texts.has(tag)) continue;
    const length = Math.min(count, maxTextBytes);
    const start = count <= 4 ? at + 8 : reader.u32(at + 8, isLittle);
    if (start + length > tiff.length) continue;
    const text = tiff.subarray(start, start + length);
    if (text.some((byte) => byte !== 0 && byte !== 0x20)) texts.set(tag, text);
  }
  return texts.size === 0 ? new Uint8Array(0) : writeTexts(texts);
}

/** A little-endian TIFF block whose IFD0 has these ASCII tags. */
function writeTexts(texts: ReadonlyMap<number, Uint8Array>): Uint8Array {
  // Tags stand in ascending order; a text ends with NUL; offsets are even (TIFF 6 §2).
  const entries = [...texts].sort(([a], [b]) => a - b);
  const directoryEnd = 8 + 2 + entries.length * 12 + 4;
  const block = new Uint8Array(entries.reduce((sum, [, text]) => sum + 4 + text.length + 2, directoryEnd));
  const view = new DataView(block.buffer);
  block.set([0x49, 0x49, 42, 0, 8, 0, 0, 0]);
  view.setUint16(8, entries.length, true);
  let free = directoryEnd;
  for (const [index, [tag, text]] of entries.entries()) {
    const at = 10 + index * 12;
    const count = text.at(-1) === 0 ? text.length : text.length + 1;
    view.setUint16(at, tag, true);
    view.setUint16(at + 2, asciiType, true);
    view.setUint32(at + 4, count, true);
    if (count <= 4) {
      block.set(text, at + 8);
    } else {
      view.setUint32(at + 8, free, true);
      block.set(text, free);
      free += count + (count % 2);
    }
  }
  return block.subarray(0, free);
}
