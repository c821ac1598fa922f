/** Results as encoded bytes: in the format wanted, in the smaller of two, or in the highest quality that fits. */
import { create } from '@bufbuild/protobuf';
import {
  type EncodingReport,
  EncodingReportSchema,
  Format,
  type ImageInfo,
  type Output,
} from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import { type CodedFormat, formatNames } from '../formats.ts';
import { toImageInfo } from '../info.ts';
import { writeBlocks } from '../metadata/write-blocks.ts';
import { type ResolvedOutput, resolveOutput } from '../output.ts';
import { probeWhole } from '../probe.ts';
import type { Metadata, Pixels } from '../source.ts';
import { openAnimation } from './animation.ts';
import { fillExifSlot, reserveExif } from './avif-metadata.ts';
import { encoder } from './encoders.ts';
import {
  type CodecOptions,
  convertTo,
  convertToRaw,
  type Opened,
  openPixels,
  toPixels,
} from './open-source.ts';
import { withProfile } from './profile.ts';
import { type SourceKind, translateSharpError } from './sharp-errors.ts';

/** An encoded result. */
export interface Encoded {
  readonly bytes: Uint8Array;
  readonly info: ImageInfo;
  readonly encoding: EncodingReport;
}

export interface WriteOptions extends CodecOptions {
  /** A second format: the result is in that of the two that takes fewer bytes. */
  readonly alternative?: CodedFormat | undefined;
}

/** Encodes what `encode` is given at some quality. */
type EncodeOnce = (resolved: ResolvedOutput) => Promise<Uint8Array>;

/** Runs the pipeline and encodes its pixels. RESULT_TOO_LARGE over the limit; else see translateSharpError. */
export async function writeOutput(
  opened: Opened,
  output: Output,
  metadata: Metadata,
  options: WriteOptions,
  source: SourceKind,
): Promise<Encoded> {
  const isOnce = output.targetBytes === undefined && options.alternative === undefined;
  if (isOnce) {
    return writeBest((resolved) => encodeOnce(opened, resolved, metadata, source), output, options);
  }
  // Several encodings of the same pixels: the pipeline runs once.
  const pixels = await runToPixels(opened, opened.bitDepth, source);
  return writePixels(pixels, output, metadata, options);
}

/** Encodes pixels, animated ones too. */
export function writePixels(
  pixels: Pixels,
  output: Output,
  metadata: Metadata,
  options: WriteOptions,
): Promise<Encoded> {
  return writeBest(
    (resolved) => {
      const opened =
        pixels.animation === undefined ? openPixels(pixels, options) : openAnimation(pixels, options);
      return encodeOnce(opened, resolved, metadata, 'pixels', pixels.animation);
    },
    output,
    options,
  );
}

/** The pixels of a pipeline, with as many bits as it has, but no more than `bitDepth`. */
export async function runToPixels(opened: Opened, bitDepth: 8 | 16, source: SourceKind): Promise<Pixels> {
  const bits = opened.bitDepth === 16 ? bitDepth : 8;
  const image = convertToRaw(opened, { isGrey: opened.isGrey, bitDepth: bits });
  try {
    const { data, info } = await image.toBuffer({ resolveWithObject: true });
    return { ...toPixels(data, info, bits), ...(opened.iccProfile && { iccProfile: opened.iccProfile }) };
  } catch (error) {
    throw translateSharpError(error, source);
  }
}

async function writeBest(encode: EncodeOnce, output: Output, options: WriteOptions): Promise<Encoded> {
  const { alternative, limits } = options;
  const { maxResultBytes } = limits;
  if (alternative === undefined) {
    const only = await writeFormat(encode, output);
    return finish(only, only.attempts, maxResultBytes);
  }
  // Only the first choice of format may know of these. A lossless format has no quality to search: it keeps to the bytes
  // or it does not.
  const targetBytes = formatNames(alternative).hasQuality ? output.targetBytes : undefined;
  const other = { ...output, format: alternative, lossless: undefined, targetBytes };
  const first = await unlessTooLarge(writeFormat(encode, output));
  const second = await unlessTooLarge(writeFormat(encode, other));
  const written = [first, second].flatMap((each) => (each instanceof MeshError ? [] : [each]));
  const attempts = written.reduce((sum, each) => sum + each.attempts, 0);
  const [best] = written
    .filter(({ bytes }) => output.targetBytes === undefined || bytes.length <= output.targetBytes)
    .sort((a, b) => a.bytes.length - b.bytes.length);
  if (best !== undefined) return finish(best, attempts, maxResultBytes);
  throw first;
}

/** A format that cannot keep to the bytes wanted leaves it to the other. */
async function unlessTooLarge(writing: Promise<Written>): Promise<Written | MeshError> {
  try {
    return await writing;
  } catch (error) {
    if (error instanceof MeshError && error.reason === 'RESULT_TOO_LARGE') return error;
    throw error;
  }
}

interface Written {
  readonly bytes: Uint8Array;
  /** 0 where the format, or being lossless, leaves no choice. */
  readonly quality: number;
  readonly attempts: number;
}

async function writeFormat(encode: EncodeOnce, output: Output): Promise<Written> {
  const resolved = resolveOutput(output);
  if (resolved.targetBytes !== undefined) return searchQuality(encode, resolved, resolved.targetBytes);
  const hasQuality = formatNames(resolved.format).hasQuality && !resolved.isLossless;
  return { bytes: await encode(resolved), quality: hasQuality ? resolved.quality : 0, attempts: 1 };
}

/** Halves the range of qualities: at most eight encodings. */
async function searchQuality(
  encode: EncodeOnce,
  resolved: ResolvedOutput,
  targetBytes: number,
): Promise<Written> {
  const top = await encode(resolved);
  if (top.length <= targetBytes) return { bytes: top, quality: resolved.quality, attempts: 1 };
  let best: { readonly bytes: Uint8Array; readonly quality: number } | undefined;
  let [low, high] = [1, resolved.quality - 1];
  let attempts = 1;
  let leastBytes = top.length;
  while (low <= high) {
    const quality = (low + high) >> 1;
    const bytes = await encode({ ...resolved, quality });
    attempts += 1;
    leastBytes = Math.min(leastBytes, bytes.length);
    if (bytes.length <= targetBytes) {
      best = { bytes, quality };
      low = quality + 1;
    } else {
      high = quality - 1;
    }
  }
  if (best !== undefined) return { ...best, attempts };
  throw new MeshError(
    'RESULT_TOO_LARGE',
    `output.target_bytes: ${targetBytes}; the smallest result has ${leastBytes} bytes: make the image smaller`,
    { metadata: { targetBytes: String(targetBytes), leastBytes: String(leastBytes) } },
  );
}

async function encodeOnce(
  opened: Opened,
  resolved: ResolvedOutput,
  metadata: Metadata,
  source: SourceKind,
  animation?: Pixels['animation'],
): Promise<Uint8Array> {
  const { format } = resolved;
  const isDeepFormat = format === Format.PNG || format === Format.TIFF;
  const { iccProfile } = opened;
  const ready = iccProfile === undefined ? opened : await withProfile(opened, format, source);
  let image = convertTo(ready, {
    isGrey: ready.isGrey && format !== Format.AVIF,
    bitDepth: isDeepFormat ? ready.bitDepth : 8,
  });
  if (ready.hasAlpha && !formatNames(format).hasAlpha)
    image = image.flatten({ background: resolved.background });
  image = encoder(image, resolved, animation);
  if (format === Format.AVIF) image = reserveExif(image, metadata);
  let file: Buffer;
  try {
    file = await image.toBuffer();
  } catch (error) {
    throw translateSharpError(error, source);
  }
  if (format === Format.AVIF) return fillExifSlot(file, metadata);
  return writeBlocks(file, format, { ...metadata, icc: iccProfile ?? new Uint8Array(0) });
}

function finish({ bytes, quality }: Written, attempts: number, maxBytes: number): Encoded {
  if (bytes.length > maxBytes) {
    throw new MeshError(
      'RESULT_TOO_LARGE',
      `the result has ${bytes.length} bytes; the limit is ${maxBytes}`,
      {
        metadata: { sizeBytes: String(bytes.length), maxResultBytes: String(maxBytes) },
      },
    );
  }
  return {
    bytes,
    info: toImageInfo(probeWhole(bytes), bytes.length),
    encoding: create(EncodingReportSchema, { quality, attempts }),
  };
}
