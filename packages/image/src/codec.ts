/** The door to sharp: decoding and encoding. Workers import it; what only needs headers imports the index. */
import { create } from '@bufbuild/protobuf';
import {
  AnimationSchema,
  Format,
  KeptMetadataSchema,
  MetadataPolicy,
  type Output,
  type PixelContent,
  PixelContentSchema,
} from '@imagemesh/api';
import sharp from 'sharp';
import {
  type CodecOptions,
  convertToRaw,
  decodeFrames,
  openSource,
  sourcePixels,
  toPixels,
} from './codec/open-source.ts';
import { translateSharpError } from './codec/sharp-errors.ts';
import { type Encoded, type WriteOptions, writePixels } from './codec/write-output.ts';
import { resetOrientation, safeExif } from './metadata/exif-block.ts';
import { maxMetadataBytes, noMetadata, readBlocks } from './metadata/read-blocks.ts';
import { turnOfOrientation } from './orientation.ts';
import { policyOf } from './output.ts';
import { type Metadata, type Pixels, type Source, sourceFrames } from './source.ts';

export {
  type CodecOptions,
  decodeFrames,
  type Opened,
  openPixels,
  openSource,
} from './codec/open-source.ts';
export { type SourceKind, translateSharpError } from './codec/sharp-errors.ts';
export { type Encoded, runToPixels, writeOutput, writePixels } from './codec/write-output.ts';

/** The loaders of libvips that strangers' bytes may reach. */
const allowedLoaders = [
  'VipsForeignLoadJpeg',
  'VipsForeignLoadPng',
  'VipsForeignLoadWebp',
  'VipsForeignLoadHeif',
  'VipsForeignLoadNsgif',
  'VipsForeignLoadTiff',
];

/**
 * Sets sharp up for a server: only the loaders of the formats that are read, one thread an image (slots give the parallelism;
 * sharp's own default depends on the allocator), no cache. Once a process, before the first image.
 */
export function configureSharp(): void {
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({ operation: allowedLoaders });
  sharp.concurrency(1);
  sharp.cache(false);
  sharp.simd(true);
}

/** What pixels to decode to; by default 8 bits and the channels that the image has. */
export interface WantedPixels {
  readonly bitDepth?: 8 | 16;
  readonly channels?: 1 | 3 | 4;
}

/**
 * Pixels of a source: upright, sRGB (unless the profile is kept), all frames of an animation. Without `channels`, grey stays grey (with alpha, at 8 bits, it becomes RGBA), and CMYK
 * becomes RGB.
 */
export async function decode(source: Source, want: WantedPixels, options: CodecOptions): Promise<Pixels> {
  const bitDepth = want.bitDepth ?? 8;
  if (source.kind === 'pixels') {
    const { content } = source;
    const isAsWanted =
      content.bitDepth === bitDepth && (want.channels ?? content.channels) === content.channels;
    if (isAsWanted || content.animation !== undefined) return sourcePixels(source);
  }
  if (options.frame === undefined && sourceFrames(source) > 1) {
    const frames = await decodeFrames(source, options).catch((error) => {
      throw translateSharpError(error, source.kind);
    });
    if (frames !== undefined) return frames;
  }
  const opened = await openSource(source, options);
  const isGrey = want.channels === undefined ? opened.isGrey : want.channels === 1;
  let image = convertToRaw(
    { ...opened, hasAlpha: opened.hasAlpha && want.channels !== 1 },
    { isGrey, bitDepth },
  );
  const turn = turnOfOrientation(source.kind === 'encoded' ? source.header.orientation : 1);
  if (turn.flop) image = image.flop();
  if (turn.quarters > 0) image = image.rotate(turn.quarters * 90);
  if (want.channels === 1 || want.channels === 3) image = image.removeAlpha();
  if (want.channels === 4) image = image.ensureAlpha();
  try {
    const { data, info } = await image.toBuffer({ resolveWithObject: true });
    const { iccProfile } = opened;
    return { ...toPixels(data, info, bitDepth), ...(iccProfile && { iccProfile }) };
  } catch (error) {
    throw translateSharpError(error, source.kind);
  }
}

/** Encodes pixels. `metadata` as readMetadata gave it. */
export async function encode(
  pixels: Pixels,
  output: Output,
  metadata: Metadata,
  options: WriteOptions,
): Promise<Encoded> {
  return writePixels(pixels, output, metadata, options);
}

/** The metadata that the policy lets a result carry, its orientation reset; none if it is over 1 MiB. */
export async function readMetadata(source: Source, policy: MetadataPolicy): Promise<Metadata> {
  const resolved = policyOf(policy);
  if (resolved === MetadataPolicy.STRIP) return noMetadata;
  const { exif, xmp, iptc } = await allMetadata(source);
  if (resolved === MetadataPolicy.SAFE) return { ...noMetadata, exif: safeExif(exif) };
  if (exif.length + xmp.length + iptc.length > maxMetadataBytes) return noMetadata;
  return { exif: resetOrientation(exif), xmp, iptc };
}

async function allMetadata(source: Source): Promise<Metadata> {
  if (source.kind === 'pixels') return source.content.metadata ?? noMetadata;
  const { bytes, header } = source;
  if (header.format !== Format.AVIF) return readBlocks(bytes, header.format);
  try {
    const { exif = noMetadata.exif, xmp = noMetadata.xmp } = await sharp(bytes).metadata();
    const hasPrefix = exif.subarray(0, 4).toString('latin1') === 'Exif';
    return { exif: hasPrefix ? exif.subarray(6) : exif, xmp, iptc: noMetadata.iptc };
  } catch (error) {
    throw translateSharpError(error);
  }
}

/** Describes pixels, with the metadata for later stages. */
export function pixelContent(pixels: Pixels, metadata: Metadata): PixelContent {
  const { width, height, channels, bitDepth } = pixels;
  const { exif, xmp, iptc } = metadata;
  return create(PixelContentSchema, {
    width,
    height,
    channels,
    bitDepth,
    ...(pixels.iccProfile && { iccProfile: pixels.iccProfile }),
    ...(pixels.animation && { animation: create(AnimationSchema, { ...pixels.animation }) }),
    ...(exif.length + xmp.length + iptc.length > 0 && {
      metadata: create(KeptMetadataSchema, { exif, xmp, iptc }),
    }),
  });
}
