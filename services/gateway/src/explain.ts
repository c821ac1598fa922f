/** How a pipeline would run, in words and numbers. Pure. */
import { create, enumToJson } from '@bufbuild/protobuf';
import {
  ColorPolicy,
  type ExplainTransformResponse,
  ExplainTransformResponseSchema,
  Format,
  FormatSchema,
  type ImageInfo,
  type Operation,
  type Output,
  type PlannedStage,
  PlannedStageSchema,
  WorkerKind,
} from '@imagemesh/api';
import { type ImageLimits, operationName, pipelineSizes, type Size, uprightSize } from '@imagemesh/image';
import { type Plan, planPipeline, type Stage } from './plan.ts';

export interface Explained {
  readonly info: ImageInfo;
  readonly operations: readonly Operation[];
  readonly output: Output | undefined;
  readonly limits: ImageLimits;
}

/** Throws what a transform would throw before it runs. */
export function explain(request: Explained): ExplainTransformResponse {
  const { info } = request;
  const plan = planPipeline(request);
  let size = uprightSize(info);
  const stages = plan.stages.map((stage) => {
    const planned = describeStage(stage, size);
    size = stage.resultSize;
    return planned;
  });
  return create(ExplainTransformResponseSchema, { source: info, stages, notes: notesOf(request, plan) });
}

function describeStage(stage: Stage, source: Size): PlannedStage {
  const { worker, names, costMs, resultSize } = stage;
  return create(PlannedStageSchema, {
    worker,
    operations: [...names],
    costMs,
    memoryBytes: BigInt(memoryBytes(stage, source)),
    width: resultSize.width,
    height: resultSize.height,
  });
}

/** Source and result as RGBA; OpenCV holds as much again, and up to four times for derivatives. */
function memoryBytes({ worker, frames, resultSize, names }: Stage, source: Size): number {
  const bytes = (size: Size) => size.width * size.height * 4;
  const isDeep = names.some((name) => name === 'edges' || name === 'sobel' || name === 'laplacian');
  const copies = worker === WorkerKind.FILTER ? (isDeep ? 5 : 2) : 1;
  return bytes(source) * copies * (worker === WorkerKind.FILTER ? 1 : frames) + bytes(resultSize) * frames;
}

function notesOf(
  { info, operations, output, limits }: Explained,
  { output: resolved, alternative }: Plan,
): string[] {
  const notes: string[] = [];
  const name = (format: Format) => enumToJson(FormatSchema, format);
  if (info.orientation > 1)
    notes.push(`The EXIF orientation ${info.orientation} is applied before the first operation.`);
  if (info.frames > 1 && operations[0]?.operation.case !== 'selectFrame') {
    notes.push('The image is animated: every operation is done on each frame.');
  }
  const sizes = pipelineSizes(uprightSize(info), operations, limits);
  for (const [index, operation] of operations.entries()) {
    const note = noteOf(operation, sizes[index], sizes[index + 1]);
    if (note !== undefined) notes.push(`operations[${index}] (${operationName(operation)}): ${note}`);
  }
  if (output?.format === Format.AUTO) {
    notes.push(
      alternative === undefined
        ? `FORMAT_AUTO becomes ${name(resolved.format)}.`
        : `FORMAT_AUTO becomes ${name(resolved.format)} or ${name(alternative)}, whichever has fewer bytes.`,
    );
  } else if (output === undefined || output.format === Format.UNSPECIFIED) {
    notes.push(`The result keeps the format of the source, ${name(resolved.format)}.`);
  }
  if (resolved.targetBytes !== undefined) notes.push('The quality is searched: up to 8 encodings.');
  if (resolved.color !== ColorPolicy.KEEP) notes.push('Colours are converted to sRGB.');
  return notes;
}

function noteOf(
  { operation }: Operation,
  before: Size | undefined,
  after: Size | undefined,
): string | undefined {
  const isSame = before !== undefined && before.width === after?.width && before.height === after.height;
  switch (operation.case) {
    case 'trim':
    case 'cropToFaces':
      return 'how much is cut is known only then; sizes from here on are the largest possible.';
    case 'resize':
    case 'crop':
    case 'extend':
      return isSame ? 'changes nothing: the image has that size already.' : undefined;
    case 'rotate':
      return (operation.value.angle ?? 0) % 360 === 0 ? 'changes nothing: it is a whole turn.' : undefined;
    case 'blur':
      return operation.value.size === 1 ? 'changes nothing: its kernel is one pixel.' : undefined;
    default:
      return undefined;
  }
}
