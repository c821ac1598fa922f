/** Finds the EXIF, XMP and IPTC blocks of a JPEG, PNG or WebP. Pure; the bytes are those of a file that was probed. */
import { inflateSync } from 'node:zlib';
import { Format } from '@imagemesh/api';
import type { CodedFormat } from '../formats.ts';
import { jpegSegments } from '../probe/jpeg.ts';
import { pngChunks } from '../probe/png.ts';
import { createHeadReader, type HeadReader } from '../probe/reader.ts';
import { hasExifPrefix, riffChunks } from '../probe/webp.ts';
import type { Metadata } from '../source.ts';

/** All blocks together; beyond it a result carries none (KeptMetadata in the API). */
export const maxMetadataBytes = 1024 * 1024;

export const noMetadata: Metadata = {
  exif: new Uint8Array(0),
  xmp: new Uint8Array(0),
  iptc: new Uint8Array(0),
};

export const xmpPrefix = 'http://ns.adobe.com/xap/1.0/\0';
export const photoshopPrefix = 'Photoshop 3.0\0';
export const pngXmpKeyword = 'XML:com.adobe.xmp\0';

/**
 * The blocks, as views into the file: EXIF from its TIFF header on, XMP without prefix, IPTC as Photoshop's image
 * resources (JPEG only). AVIF is the codec's to read.
 */
export function readBlocks(bytes: Uint8Array, format: CodedFormat): Metadata {
  const reader = createHeadReader(bytes);
  switch (format) {
    case Format.JPEG:
      return readJpeg(reader);
    case Format.PNG:
      return readPng(reader);
    case Format.WEBP:
      return readWebp(reader);
    case Format.AVIF:
    // Their few blocks are not carried over.
    case Format.GIF:
    case Format.TIFF:
      return noMetadata;
    default:
      return format satisfies never;
  }
}

function readJpeg(reader: HeadReader): Metadata {
  let { exif, xmp, iptc } = noMetadata;
  for (const { marker, start, end } of jpegSegments(reader)) {
    const after = (prefix: string) => {
      const isIt = end - start > prefix.length && reader.startsWith(start, prefix);
      return isIt ? reader.bytes(start + prefix.length, end - start - prefix.length) : undefined;
    };
    if (marker === 0xe1 && exif.length === 0) exif = after('Exif\0\0') ?? exif;
    if (marker === 0xe1 && xmp.length === 0) xmp = after(xmpPrefix) ?? xmp;
    if (marker === 0xed && iptc.length === 0) iptc = after(photoshopPrefix) ?? iptc;
  }
  return { exif, xmp, iptc };
}

/** XMP stands in iTXt (the XMP specification's way) or zTXt (libvips' way). */
function readPng(reader: HeadReader): Metadata {
  let { exif, xmp } = noMetadata;
  for (const { type, start, length } of pngChunks(reader)) {
    if (type === 'eXIf') exif = reader.bytes(start, length);
    if (type !== 'iTXt' && type !== 'zTXt') continue;
    if (length <= pngXmpKeyword.length || !reader.startsWith(start, pngXmpKeyword)) continue;
    const rest = reader.bytes(start + pngXmpKeyword.length, length - pngXmpKeyword.length);
    xmp = (type === 'iTXt' ? internationalText(rest) : inflated(rest.subarray(1))) ?? xmp;
  }
  return { exif, xmp, iptc: noMetadata.iptc };
}

/** The text of an iTXt chunk behind its keyword: flag, method, language NUL, translated keyword NUL, text. */
function internationalText(rest: Uint8Array): Uint8Array | undefined {
  const language = rest.indexOf(0, 2);
  const keyword = language < 0 ? -1 : rest.indexOf(0, language + 1);
  if (keyword < 0) return undefined;
  const text = rest.subarray(keyword + 1);
  return rest[0] === 0 ? text : inflated(text);
}

function inflated(bytes: Uint8Array): Uint8Array | undefined {
  try {
    return inflateSync(bytes, { maxOutputLength: maxMetadataBytes });
  } catch {
    // Damaged metadata is not a reason to refuse the picture.
    return undefined;
  }
}

function readWebp(reader: HeadReader): Metadata {
  let { exif, xmp } = noMetadata;
  for (const { type, start, end } of riffChunks(reader, 12)) {
    if (end > reader.total || (type !== 'EXIF' && type !== 'XMP ')) continue;
    const block = reader.bytes(start, end - start);
    if (type === 'XMP ') xmp = block;
    else exif = hasExifPrefix(block) ? block.subarray(6) : block;
  }
  return { exif, xmp, iptc: noMetadata.iptc };
}
