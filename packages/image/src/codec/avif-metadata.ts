/**
 * EXIF and XMP in AVIF.
 *
 * sharp writes EXIF only from single values, and offsets inside AVIF make inserting boxes afterwards costly. So sharp
 * is given a description as long as the block, which makes it reserve the room, and the block is written over it.
 */
import type { Sharp } from 'sharp';
import type { Metadata } from '../source.ts';

/** EXIF blocks in JPEGs cannot be longer either. */
const maxExifBytes = 65527;
const filler = '~';
/** What stands before the block, whose first bytes are its byte order. */
const exifPrefix = Buffer.from('Exif\0\0', 'latin1');

/** Reserves room for the EXIF block, and writes the XMP packet. */
export function reserveExif(image: Sharp, { exif, xmp }: Metadata): Sharp {
  const withExif =
    exif.length > 0 && exif.length <= maxExifBytes
      ? image.withExif({ IFD0: { ImageDescription: filler.repeat(exif.length) } })
      : image;
  return xmp.length > 0 ? withExif.withXmp(new TextDecoder().decode(xmp)) : withExif;
}

/** Writes the EXIF block into the room reserved. */
export function fillExifSlot(file: Buffer, { exif }: Metadata): Buffer {
  if (exif.length === 0 || exif.length > maxExifBytes) return file;
  const run = file.indexOf(filler.repeat(exif.length));
  const at = run < 0 ? -1 : file.lastIndexOf(exifPrefix, run);
  if (at < 0) throw new Error('no room for EXIF was reserved in the AVIF');
  const start = at + exifPrefix.length;
  file.fill(0, start, run + exif.length);
  file.set(exif, start);
  return file;
}
