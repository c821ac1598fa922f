/**
 * Decodes and transforms. What one pass of sharp does is decoding, transforming and encoding in one go, so `process`
 * leaves the last pass to `format`: the common request (decode, resize, encode) never holds the pixels as a whole.
 */
import { Format, MetadataPolicy, type Operation } from '@imagemesh/api';
import {
  formatNames,
  frameOf,
  joinFrames,
  type Metadata,
  type Pixels,
  planFrames,
  policyOf,
  resolveOutput,
  resultSize,
  type Size,
  type Source,
  sourceFrames,
  type Turn,
  turnedSize,
  turnOfOrientation,
  upright,
} from '@imagemesh/image';
import {
  type CodecOptions,
  decodeFrames,
  type Opened,
  openPixels,
  openSource,
  readMetadata,
  runToPixels,
  type SourceKind,
  translateSharpError,
} from '@imagemesh/image/codec';
import type { Work, WorkCall, WorkResult } from '@imagemesh/worker';
import { planPasses } from './passes.ts';
import { addPass, addsColour, addsTransparency } from './run-pass.ts';
import { isPassOperation, runSingle, splitResize } from './single.ts';

/** A pipeline of sharp, its last pass added but not run; or the finished frames of an animation. */
export type Picture = { readonly metadata: Metadata } & (
  | {
      readonly kind: 'still';
      readonly opened: Opened;
      /** What the pipeline reads: whose fault a failure is. */
      readonly source: SourceKind;
    }
  | { readonly kind: 'frames'; readonly pixels: Pixels }
);

export async function process(work: Work, call: WorkCall): Promise<Picture> {
  const { source, operations, result, color } = work;
  const metadata = await readMetadata(source, metadataPolicy(result));
  const options = (): CodecOptions => ({ limits: call.limits, timeoutMs: call.remainingMs(), color });
  const { selected } = planFrames(sourceFrames(source), operations);
  if (selected === undefined && sourceFrames(source) > 1) {
    const frames = await framesOf(source, options());
    if (frames !== undefined) {
      return { kind: 'frames', pixels: await runFrames(frames, work, call, options), metadata };
    }
  }
  const stored: Size = source.kind === 'encoded' ? source.header : source.content;
  const orientation = source.kind === 'encoded' ? turnOfOrientation(source.header.orientation) : upright;
  const opened = await openSource(source, { ...options(), frame: selected });
  const start = { opened, size: stored, orientation, kind: source.kind };
  const end = await runOperations(start, operations, work, call, options);
  return { kind: 'still', opened: end.opened, metadata, source: end.kind };
}

async function framesOf(source: Source, options: CodecOptions): Promise<Pixels | undefined> {
  try {
    return await decodeFrames(source, options);
  } catch (error) {
    throw translateSharpError(error, source.kind);
  }
}

/** Every frame on its own, then joined again. */
async function runFrames(
  frames: Pixels,
  work: Work,
  call: WorkCall,
  options: () => CodecOptions,
): Promise<Pixels> {
  const { animation } = frames;
  if (animation === undefined) return frames;
  const done: Pixels[] = [];
  for (const index of animation.delaysMs.keys()) {
    const frame = frameOf(frames, index);
    const start = {
      opened: openPixels(frame, options()),
      size: frame,
      orientation: upright,
      kind: 'pixels',
    } as const;
    const { opened } = await runOperations(start, work.operations, work, call, options);
    done.push(await runToPixels(opened, 8, 'pixels'));
    call.signal.throwIfAborted();
  }
  return joinFrames(done, animation);
}

interface Stage {
  readonly opened: Opened;
  /** As stored: what `orientation` makes upright. */
  readonly size: Size;
  readonly orientation: Turn;
  readonly kind: SourceKind;
}

/** All operations in order; the last pass is added and not run. */
async function runOperations(
  start: Stage,
  operations: readonly Operation[],
  { result }: Work,
  call: WorkCall,
  options: () => CodecOptions,
): Promise<Stage> {
  const hasAlphaOut = result.kind !== 'encoded' || formatNames(resolveOutput(result.output).format).hasAlpha;
  const depth = deepest(result);
  let { opened, kind, orientation } = start;
  let size: Size = turnedSize(start.size, orientation);
  let stored = start.size;
  let isPending = false;
  let group: Operation[] = [];

  /** Runs what is pending and goes on from its pixels. */
  const settle = async (isGrey = opened.isGrey) => {
    const pixels = await runToPixels({ ...opened, isGrey }, depth, kind);
    call.signal.throwIfAborted();
    opened = openPixels(pixels, options());
    kind = 'pixels';
    isPending = false;
  };
  const flush = async () => {
    for (const pass of planPasses(stored, orientation, group, call.limits)) {
      const needsColour = opened.isGrey && addsColour(pass);
      if (isPending || needsColour) await settle(opened.isGrey && !needsColour);
      const needsFlattening = !hasAlphaOut && addsTransparency(pass, opened.hasAlpha);
      opened = addPass(opened, pass);
      isPending = true;
      if (needsFlattening) await settle();
    }
    group = [];
    orientation = upright;
    stored = size;
  };

  for (const [index, given] of operations.entries()) {
    for (const operation of splitResize(given, size)) {
      if (isPassOperation(operation)) {
        group.push(operation);
        // Anew: behind a trim the sizes are other than those predicted.
        size = resultSize(size, operation, call.limits, `operations[${index}]`);
        continue;
      }
      await flush();
      await settle();
      const single = await runSingle({ opened, size }, operation, call, options());
      ({ opened, size } = single);
      stored = size;
      isPending = true;
    }
  }
  // An orientation alone is a pass too.
  if (group.length > 0 || !isPending) await flush();
  return { opened, size, orientation, kind };
}

function metadataPolicy(result: WorkResult): MetadataPolicy {
  if (result.kind === 'pixels') return result.metadata;
  return result.kind === 'encoded' ? policyOf(result.output.metadata) : MetadataPolicy.STRIP;
}

/** 16 bits are kept where the result can have them. */
function deepest(result: WorkResult): 8 | 16 {
  if (result.kind !== 'encoded') return 16;
  const { format } = resolveOutput(result.output);
  return format === Format.PNG || format === Format.TIFF ? 16 : 8;
}
