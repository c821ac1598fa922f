/**
 * Cuts a pipeline into the fewest stages. Pure.
 *
 * An operation is done exactly by one service or by either. Those that either does (crop, flip, quarter turns) run
 * where the pixels already are, before the first choice where they will be needed next; so the number of stages is the
 * number of times the needed service changes, which no other cut can be below. A pipeline that needs neither (or only
 * re-encodes) goes to resize. The last stage encodes.
 */
import { getOption } from '@bufbuild/protobuf';
import {
  type Format,
  type ImageInfo,
  type Operation,
  OperationSchema,
  type Output,
  operation,
  WorkerKind,
} from '@imagemesh/api';
import {
  type CodedFormat,
  checkFilterPixels,
  formatNames,
  type ImageLimits,
  isCodedFormat,
  isSmartGravity,
  operationName,
  pipelineSizes,
  planFrames,
  type Size,
  uprightSize,
} from '@imagemesh/image';
import { estimateStage, isQuarterTurn } from './cost.ts';
import { type ResolvedOutput, resolveOutput } from './output-format.ts';

export type Worker = typeof WorkerKind.RESIZE | typeof WorkerKind.FILTER;

export interface Stage {
  readonly worker: Worker;
  readonly operations: readonly Operation[];
  /** Names of the operations, as in the Operation oneof. */
  readonly names: readonly string[];
  /** Predicted work in reference ms. */
  readonly costMs: number;
  /** "jpeg>webp": what is decoded and what is encoded; empty for pixels. */
  readonly formats: string;
  /** Size of the stage's result; behind a trim or a crop_to_faces the largest that it can be. */
  readonly resultSize: Size;
  /** Frames of the stage's result. */
  readonly frames: number;
  /** Whether it is the last, which encodes. */
  readonly isFinal: boolean;
}

export interface Plan {
  /** At least one. */
  readonly stages: readonly Stage[];
  /** With the format resolved. */
  readonly output: ResolvedOutput;
  /** Tried beside the output's format; the smaller result wins. */
  readonly alternative: CodedFormat | undefined;
}

export interface Pipeline {
  readonly info: ImageInfo;
  readonly operations: readonly Operation[];
  readonly output: Output | undefined;
  readonly limits: ImageLimits;
  /** Path of the message that holds `operations` and `output`, for errors: "" or "variants[0].". */
  readonly path?: string;
}

interface Step {
  readonly operation: Operation;
  readonly result: Size;
}

/** The stages of a pipeline. Throws what is wrong with an operation, or which limit its result breaks. */
export function planPipeline({ info, operations, output, limits, path = '' }: Pipeline): Plan {
  const size = uprightSize(info);
  const operationsPath = `${path}operations`;
  const { frames } = planFrames(Math.max(1, info.frames), operations, operationsPath);
  const resultSize = pipelineSizes(size, operations, limits, operationsPath, frames).at(-1) ?? size;
  const source = { format: info.format, hasAlpha: info.hasAlpha, frames, resultSize };
  const resolved = resolveOutput(source, operations, output, `${path}output`);
  const stages = planStages({
    format: info.format,
    size,
    frames,
    operations,
    ...resolved,
    limits,
    path: operationsPath,
  });
  return { stages, ...resolved };
}

export interface StagesInput {
  /** The format decoded; undefined for pixels. */
  readonly format: Format | undefined;
  /** Upright. */
  readonly size: Size;
  readonly frames: number;
  readonly operations: readonly Operation[];
  /** The service of the last stage, where a measurement ends it; undefined: whichever does the operations. */
  readonly lastWorker?: Worker;
  /** Undefined: the last stage gives pixels. */
  readonly output: ResolvedOutput | undefined;
  readonly alternative: CodedFormat | undefined;
  readonly limits: ImageLimits;
  /** Path of the operations, for errors. */
  readonly path: string;
}

/** The stages of operations on an image of that size; at least one. */
export function planStages(input: StagesInput): readonly Stage[] {
  const { format, frames, operations, output, alternative, limits, path } = input;
  const [sourceSize = input.size, ...results] = pipelineSizes(input.size, operations, limits, path, frames);
  const steps = operations.map(
    (operation, index): Step => ({ operation, result: results[index] ?? sourceSize }),
  );
  const runs = cut(steps, input.lastWorker);
  let size = sourceSize;
  let done = 0;
  return runs.map(({ worker, steps }, index): Stage => {
    const isFinal = index === runs.length - 1;
    const operations = steps.map(({ operation }) => operation);
    const costMs = estimateStage({
      source: index === 0 ? format : undefined,
      sourceSize: size,
      steps,
      frames,
      output: isFinal ? output : undefined,
      alternative: isFinal ? alternative : undefined,
    });
    if (worker === WorkerKind.FILTER) {
      checkFilterPixels([size, ...steps.map(({ result }) => result)], operations, limits, path, done);
    }
    done += operations.length;
    size = steps.at(-1)?.result ?? size;
    return {
      worker,
      operations,
      names: operations.map((operation) => operationName(operation)),
      costMs,
      formats: `${index === 0 ? nameOf(format) : ''}>${isFinal ? nameOf(output?.format) : ''}`,
      resultSize: size,
      frames,
      isFinal,
    };
  });
}

/** The service that alone does the operation exactly; undefined where either does. */
export function neededWorker({ operation }: Operation): Worker | undefined {
  if (operation.case === undefined) return undefined;
  if (operation.case === 'rotate' && !isQuarterTurn(operation.value.angle ?? 0)) return WorkerKind.RESIZE;
  if (operation.case === 'crop' && isSmartGravity(operation.value.gravity)) return WorkerKind.RESIZE;
  const workers = workersOf.get(operation.case) ?? [];
  return workers.length === 1 ? workers[0] : undefined;
}

/** What the options of the operations say, by the name in the oneof. */
const workersOf: ReadonlyMap<string, readonly Worker[]> = new Map(
  OperationSchema.fields.map(({ localName, message }) => [
    localName,
    message === undefined ? [] : getOption(message, operation).workers.filter(isWorker),
  ]),
);

function isWorker(kind: WorkerKind): kind is Worker {
  return kind === WorkerKind.RESIZE || kind === WorkerKind.FILTER;
}

function cut(steps: readonly Step[], lastWorker: Worker | undefined): { worker: Worker; steps: Step[] }[] {
  const runs: { worker: Worker | undefined; steps: Step[] }[] = [{ worker: undefined, steps: [] }];
  for (const step of steps) {
    const worker = neededWorker(step.operation);
    const last = runs.at(-1);
    if (last === undefined || (worker !== undefined && last.worker !== undefined && worker !== last.worker)) {
      runs.push({ worker, steps: [step] });
    } else {
      last.worker ??= worker;
      last.steps.push(step);
    }
  }
  const last = runs.at(-1);
  if (last !== undefined && lastWorker !== undefined) {
    last.worker ??= lastWorker;
    if (last.worker !== lastWorker) runs.push({ worker: lastWorker, steps: [] });
  }
  return runs.map(({ worker = WorkerKind.RESIZE, steps }) => ({ worker, steps }));
}

function nameOf(format: Format | undefined): string {
  return format !== undefined && isCodedFormat(format) ? formatNames(format).name : '';
}
