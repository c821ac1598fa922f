/** Results that keep their colour profile. */
import { Format } from '@imagemesh/api';
import sharp from 'sharp';
import { type CodedFormat, formatNames } from '../formats.ts';
import { noMetadata } from '../metadata/read-blocks.ts';
import { writeBlocks } from '../metadata/write-blocks.ts';
import { convertTo, type Opened } from './open-source.ts';
import { type SourceKind, translateSharpError } from './sharp-errors.ts';

/**
 * The pipeline as the format needs it to carry the profile. `writeBlocks` puts it into JPEG, PNG and WebP. AVIF and TIFF
 * have no place for it afterwards, and sharp passes on only what stands in its input: the pixels become a PNG with the
 * profile, uncompressed, and are read again. GIF has no profiles: the colours are converted.
 */
export async function withProfile(opened: Opened, format: CodedFormat, source: SourceKind): Promise<Opened> {
  const { iccProfile, isGrey, bitDepth } = opened;
  const isWritten = format === Format.JPEG || format === Format.PNG || format === Format.WEBP;
  if (iccProfile === undefined || isWritten) return opened;
  const image = convertTo(opened, { isGrey, bitDepth }).png({ compressionLevel: 0 });
  let file: Uint8Array;
  try {
    file = writeBlocks(await image.toBuffer(), Format.PNG, { ...noMetadata, icc: iccProfile });
  } catch (error) {
    throw translateSharpError(error, source);
  }
  const keeps = format !== Format.GIF;
  const reopened = sharp(file, { ignoreIcc: keeps, limitInputPixels: false });
  return {
    ...opened,
    image: keeps ? reopened.keepIccProfile() : reopened,
    hasAlpha: opened.hasAlpha && formatNames(Format.PNG).hasAlpha,
  };
}
