/**
 * What an image is, from its first bytes alone: nothing is decoded, nothing allocated by what the bytes say.
 *
 * The gateway plans and refuses by this, and a worker checks it again before it decodes.
 */
import { Format } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import { type CodedFormat, formatList } from './formats.ts';
import type { ImageHeader } from './info.ts';
import { isobmffKind, probeAvif } from './probe/avif.ts';
import { foreignFormat } from './probe/foreign.ts';
import { createFrameCounter, type FrameCounter } from './probe/frame-walk.ts';
import { gifFrames, isGif, probeGif } from './probe/gif.ts';
import { isJpeg, probeJpeg } from './probe/jpeg.ts';
import { isPng, probePng } from './probe/png.ts';
import { BeyondHead, createHeadReader, type HeadReader } from './probe/reader.ts';
import { isTiff, probeTiff } from './probe/tiff.ts';
import { isWebp, probeWebp, webpFrames } from './probe/webp.ts';

/** What probing found. */
export type Probe =
  | { readonly kind: 'image'; readonly header: ImageHeader }
  /** The answer lies further on: call again with at least that many of the file's first bytes. */
  | { readonly kind: 'more'; readonly bytes: number };

/** Longest head a caller should hold just to probe; photos need a few kB, at most some 100 kB of metadata. */
export const maxProbeBytes = 1024 * 1024;

/** Shorter files have no format that is known; more is asked for before anything is said about them. */
const signatureBytes = 32;

/**
 * Probes the first bytes of a file of `total` bytes (Infinity where nobody knows).
 *
 * Throws NOT_AN_IMAGE, UNSUPPORTED_FORMAT (by name) or DAMAGED_IMAGE, and nothing else. A WebP's orientation stands
 * behind its pixels: with a `total` less than the file's it counts as upright.
 */
export function probe(head: Uint8Array, total = head.length): Probe {
  if (total === 0) throw new MeshError('NOT_AN_IMAGE', 'the image is empty');
  const wanted = Math.min(signatureBytes, total);
  if (head.length < wanted) return { kind: 'more', bytes: wanted };
  const reader = createHeadReader(head, total);
  try {
    return { kind: 'image', header: readHeader(reader) };
  } catch (error) {
    if (!(error instanceof BeyondHead)) throw error;
    // Doubling bounds the number of rounds however the pieces lie.
    if (error.bytes <= total)
      return { kind: 'more', bytes: Math.min(total, Math.max(error.bytes, head.length * 2)) };
    throw new MeshError('DAMAGED_IMAGE', `the image ends inside its header, after ${total} bytes`);
  }
}

/** Probes a whole file. */
export function probeWhole(bytes: Uint8Array): ImageHeader {
  const found = probe(bytes);
  // With the whole file at hand there is nothing more to ask for.
  if (found.kind === 'more') throw new MeshError('DAMAGED_IMAGE', 'the image ends inside its header');
  return found.header;
}

/** Counts frames while a file comes, from its first byte on; undefined where the header tells how many there are. */
export function countFrames(format: CodedFormat): FrameCounter | undefined {
  if (format === Format.GIF) return createFrameCounter(gifFrames());
  return format === Format.WEBP ? createFrameCounter(webpFrames()) : undefined;
}

function readHeader(reader: HeadReader): ImageHeader {
  if (reader.length >= 12) {
    if (isJpeg(reader)) return probeJpeg(reader);
    if (isPng(reader)) return probePng(reader);
    if (isWebp(reader)) return probeWebp(reader);
    if (isGif(reader)) return probeGif(reader);
    if (isTiff(reader)) return probeTiff(reader);
    const isobmff = isobmffKind(reader);
    if (isobmff === 'avif') return probeAvif(reader);
    if (isobmff === 'heic') throw unsupported('HEIC');
  }
  const foreign = foreignFormat(reader);
  if (foreign !== undefined) throw unsupported(foreign);
  throw new MeshError('NOT_AN_IMAGE', `the bytes are not an image: they begin like none of ${formatList()}`);
}

function unsupported(name: string): MeshError {
  return new MeshError('UNSUPPORTED_FORMAT', `the image is ${name}, which is not read; ${formatList()} are`, {
    metadata: { format: name },
  });
}
