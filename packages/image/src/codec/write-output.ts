/** Results as encoded bytes: what Output's fields mean to each encoder. */

import type { ImageInfo } from '@imagemesh/api';
import { Format, type Output } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import type { Sharp } from 'sharp';
import { formatNames } from '../formats.ts';
import { toImageInfo } from '../info.ts';
import { writeBlocks } from '../metadata/write-blocks.ts';
import { type ResolvedOutput, resolveOutput } from '../output.ts';
import { probeWhole } from '../probe.ts';
import type { Metadata } from '../source.ts';
import { fillExifSlot, reserveExif } from './avif-metadata.ts';
import { type CodecOptions, convertTo, type Opened } from './open-source.ts';
import { type SourceKind, translateSharpError } from './sharp-errors.ts';

/** An encoded result. */
export interface Encoded {
  readonly bytes: Uint8Array;
  readonly info: ImageInfo;
}

/** Runs the pipeline and encodes its pixels. RESULT_TOO_LARGE over the limit; else see translateSharpError. */
export async function writeOutput(
  opened: Opened,
  output: Output,
  metadata: Metadata,
  { limits }: Pick<CodecOptions, 'limits'>,
  source: SourceKind,
): Promise<Encoded> {
  const resolved = resolveOutput(output);
  const { format } = resolved;
  const bitDepth = format === Format.PNG ? opened.bitDepth : 8;
  let image = convertTo(opened, { isGrey: opened.isGrey && format !== Format.AVIF, bitDepth });
  if (opened.hasAlpha && !formatNames(format).hasAlpha)
    image = image.flatten({ background: resolved.background });
  image = encoder(image, resolved);
  if (format === Format.AVIF) image = reserveExif(image, metadata);
  let file: Buffer;
  try {
    file = await image.toBuffer();
  } catch (error) {
    throw translateSharpError(error, source);
  }
  const bytes = format === Format.AVIF ? fillExifSlot(file, metadata) : writeBlocks(file, format, metadata);
  if (bytes.length > limits.maxResultBytes) {
    throw new MeshError(
      'RESULT_TOO_LARGE',
      `the result has ${bytes.length} bytes; the limit is ${limits.maxResultBytes}`,
      {
        metadata: { sizeBytes: String(bytes.length), maxResultBytes: String(limits.maxResultBytes) },
      },
    );
  }
  return { bytes, info: toImageInfo(probeWhole(bytes), bytes.length) };
}

/** Effort 0 to 9 as documented at Output.effort. */
function encoder(image: Sharp, output: ResolvedOutput): Sharp {
  const { format, quality, effort, isLossless, isProgressive } = output;
  switch (format) {
    case Format.JPEG:
      // Optimised tables cost as much as all the rest of encoding (design: 24-27 ms against 9 ms at 2 MP).
      return image.jpeg({
        quality,
        progressive: isProgressive,
        optimiseCoding: effort >= 5,
        trellisQuantisation: effort >= 8,
        overshootDeringing: effort >= 8,
      });
    case Format.PNG:
      return image.png({ compressionLevel: effort, progressive: isProgressive });
    case Format.WEBP:
      return image.webp({
        quality,
        effort: Math.round((effort * 2) / 3),
        lossless: isLossless,
        exact: isLossless,
      });
    case Format.AVIF:
      return image.avif({ quality, effort: Math.floor(effort / 2), lossless: isLossless });
    default:
      return format satisfies never;
  }
}
