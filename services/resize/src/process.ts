/**
 * Decodes and transforms. What one pass of sharp does is decoding, transforming and encoding in one go, so `process`
 * leaves the last pass to `format`: the common request (decode, resize, encode) never holds the pixels as a whole.
 */
import { Format } from '@imagemesh/api';
import {
  formatNames,
  type Metadata,
  resolveOutput,
  type Size,
  turnOfOrientation,
  upright,
} from '@imagemesh/image';
import {
  convertToRaw,
  type Opened,
  openPixels,
  openSource,
  readMetadata,
  type SourceKind,
  toPixels,
  translateSharpError,
} from '@imagemesh/image/codec';
import type { Work, WorkCall } from '@imagemesh/worker';
import { planPasses } from './passes.ts';
import { addPass, addsColour, addsTransparency } from './run-pass.ts';

/** A pipeline of sharp, its last pass added but not run. */
export interface Picture {
  readonly opened: Opened;
  readonly metadata: Metadata;
  /** What the pipeline reads: whose fault a failure is. */
  readonly source: SourceKind;
}

export async function process(work: Work, call: WorkCall): Promise<Picture> {
  const { source, operations, sizes, result } = work;
  const policy = result.kind === 'pixels' ? result.metadata : resolveOutput(result.output).metadata;
  const metadata = await readMetadata(source, policy);
  const stored: Size = source.kind === 'encoded' ? source.header : source.content;
  const orientation = source.kind === 'encoded' ? turnOfOrientation(source.header.orientation) : upright;
  const options = () => ({ limits: call.limits, timeoutMs: call.remainingMs() });
  const depth = deepest(work);

  let opened = await openSource(source, options());
  let kind: SourceKind = source.kind;
  /** Runs what is pending and goes on from its pixels. */
  const settle = async (isGrey = opened.isGrey) => {
    const pixels = await runToPixels({ ...opened, isGrey }, depth, kind);
    call.signal.throwIfAborted();
    opened = openPixels(pixels, options());
    kind = 'pixels';
  };
  const hasAlphaOut = result.kind === 'pixels' || formatNames(resolveOutput(result.output).format).hasAlpha;
  for (const [index, pass] of planPasses(stored, orientation, operations, sizes).entries()) {
    const needsColour = opened.isGrey && addsColour(pass);
    if (index > 0 || needsColour) await settle(opened.isGrey && !needsColour);
    const needsFlattening = !hasAlphaOut && addsTransparency(pass, opened.hasAlpha);
    opened = addPass(opened, pass);
    if (needsFlattening) await settle();
  }
  return { opened, metadata, source: kind };
}

/** The pixels of a pipeline, with as many bits as it has, but no more than `bitDepth`. */
export async function runToPixels(opened: Opened, bitDepth: 8 | 16, source: SourceKind) {
  const bits = opened.bitDepth === 16 ? bitDepth : 8;
  const image = convertToRaw(opened, { isGrey: opened.isGrey, bitDepth: bits });
  try {
    const { data, info } = await image.toBuffer({ resolveWithObject: true });
    return toPixels(data, info, bits);
  } catch (error) {
    throw translateSharpError(error, source);
  }
}

/** 16 bits are kept where the result can have them. */
function deepest({ result }: Work): 8 | 16 {
  return result.kind === 'pixels' || resolveOutput(result.output).format === Format.PNG ? 16 : 8;
}
