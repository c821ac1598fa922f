/**
 * Several variants of one image: it is decoded once, the operations that all variants begin with are done once, and each
 * variant goes on from those pixels, beside the others, on whichever replica is free.
 */
import { equals } from '@bufbuild/protobuf';
import { ColorPolicy, MetadataPolicy, type Operation, OperationSchema, type Variant } from '@imagemesh/api';
import { type ImageLimits, policyOf, uprightSize } from '@imagemesh/image';
import { invalidField, MeshError, toMeshError } from '@imagemesh/rpc';
import type { Admission } from './admit.ts';
import { type CallContext, type DeadlineLimits, type IncomingCall, withDeadline } from './call.ts';
import { type Plan, planPipeline, planStages } from './plan.ts';
import type { HeldPixels, PipelineResult, PipelineRunner } from './run-pipeline.ts';
import type { ReadySource, Sources } from './source.ts';
import { checkVariantCount } from './variants.ts';
import { checkWatermarks } from './watermarks.ts';

export interface RenderParts {
  readonly sources: Pick<Sources, 'find'>;
  readonly runner: PipelineRunner;
  readonly limits: ImageLimits;
  readonly deadlines: DeadlineLimits;
  readonly admission: Admission;
}

/** Takes a variant that is ready, with its name; the next is given once it has settled. */
export type RenderSink = (name: string, result: PipelineResult) => Promise<void>;

/** Resolves when all variants were taken. The first that fails ends the others. */
export type Render = (
  call: IncomingCall,
  source: ReadySource,
  variants: readonly Variant[],
  sink: RenderSink,
) => Promise<void>;

/** A variant with all of its plan, which also is its share of the work. */
interface Planned {
  readonly name: string;
  readonly path: string;
  readonly operations: readonly Operation[];
  readonly plan: Plan;
}

/** Variants at work at a time; what is ready and not yet taken lies in memory. */
const maxAtOnce = 8;

export function createRender({ sources, runner, limits, deadlines, admission }: RenderParts): Render {
  return async (call, source, variants, sink) => {
    const planned = planVariants(source, variants, limits);
    for (const { path, operations } of planned)
      await checkWatermarks(sources, call, operations, `${path}.operations`);
    await admission.run(source.info, () =>
      withDeadline(call, deadlines, (context) => renderAll(context, source, planned, sink)),
    );
  };

  async function renderAll(
    call: CallContext,
    source: ReadySource,
    planned: readonly Planned[],
    sink: RenderSink,
  ): Promise<void> {
    const shared = sharedOperations(planned);
    const [only] = planned;
    const isAlone = planned.length === 1 || shared === undefined;
    if (isAlone && only !== undefined)
      return renderEach(call, planned, (one) => runner.run(call, source, one.plan), sink);
    const pixels = await runner.decode(call, source, {
      stages: planStages({
        format: source.info.format,
        size: uprightSize(source.info),
        frames: only?.plan.stages[0]?.frames ?? 1,
        operations: shared ?? [],
        output: undefined,
        alternative: undefined,
        limits,
        path: 'variants[0].operations',
      }),
      metadata: widestMetadata(planned),
      color: only?.plan.output.color ?? ColorPolicy.SRGB,
    });
    try {
      const from = shared?.length ?? 0;
      await renderEach(
        call,
        planned,
        (one) => runner.run(call, pixels, restOf(one, from, pixels, limits)),
        sink,
      );
    } finally {
      await pixels.release();
    }
  }
}

/** Throws what is wrong with a variant, by its path. */
function planVariants(
  { info }: ReadySource,
  variants: readonly Variant[],
  limits: ImageLimits,
): readonly Planned[] {
  checkVariantCount(variants, limits);
  const names = new Set<string>();
  return variants.map(({ name: given, operations, output }, index) => {
    const path = `variants[${index}]`;
    const name = given === '' ? String(index) : given;
    if (names.has(name))
      throw invalidField(`${path}.name`, `${JSON.stringify(name)} is the name of another variant`);
    names.add(name);
    return {
      name,
      path,
      operations,
      plan: planPipeline({ info, operations, output, limits, path: `${path}.` }),
    };
  });
}

/** What all variants begin with; undefined where they cannot begin with the same pixels. */
function sharedOperations(planned: readonly Planned[]): readonly Operation[] | undefined {
  const [first, ...others] = planned;
  if (first === undefined) return undefined;
  const colorOf = ({ plan }: Planned) => plan.output.color === ColorPolicy.KEEP;
  if (others.some((other) => colorOf(other) !== colorOf(first))) return undefined;
  const isSelected = ({ operations }: Planned) => operations[0]?.operation.case === 'selectFrame';
  const isShared = (operation: Operation, at: number) =>
    others.every(({ operations }) => {
      const same = operations[at];
      return same !== undefined && equals(OperationSchema, same, operation);
    });
  const length = first.operations.findIndex((operation, at) => !isShared(operation, at));
  const shared = first.operations.slice(0, length === -1 ? first.operations.length : length);
  // One variant of a single frame beside others of all frames, or of another one.
  return planned.some(isSelected) && shared.length === 0 ? undefined : shared;
}

/** The plan of what is left to do behind the pixels. */
function restOf(
  { path, operations, plan }: Planned,
  from: number,
  { content }: HeldPixels,
  limits: ImageLimits,
): Plan {
  const { width, height, animation } = content;
  const frames = animation?.delaysMs.length ?? 1;
  const stages = planStages({
    format: undefined,
    size: { width, height },
    frames,
    operations: operations.slice(from),
    output: plan.output,
    alternative: plan.alternative,
    limits,
    path: `${path}.operations`,
  });
  return { ...plan, stages };
}

function widestMetadata(planned: readonly Planned[]): MetadataPolicy {
  const policies = planned.map(({ plan }) => policyOf(plan.output.metadata));
  const order = [MetadataPolicy.KEEP, MetadataPolicy.SAFE];
  return order.find((policy) => policies.includes(policy)) ?? MetadataPolicy.STRIP;
}

/** Cheapest first, some at a time; handed to the sink one by one, as they get ready. */
async function renderEach(
  call: CallContext,
  planned: readonly Planned[],
  run: (one: Planned) => Promise<PipelineResult>,
  sink: RenderSink,
): Promise<void> {
  const waiting = [...planned].sort((a, b) => costOf(a) - costOf(b));
  let taking: Promise<void> = Promise.resolve();
  let failure: { readonly error: unknown } | undefined;
  const take = async (): Promise<void> => {
    for (let one = waiting.shift(); one !== undefined && failure === undefined; one = waiting.shift()) {
      try {
        const result = await run(one);
        const { name } = one;
        const taken = taking.then(async () => {
          try {
            if (failure === undefined) await sink(name, result);
          } finally {
            await result.release();
          }
        });
        taking = taken.catch(() => {});
        await taken;
      } catch (error) {
        failure ??= { error: call.signal.aborted ? error : named(error, one) };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(maxAtOnce, planned.length) }, take));
  if (failure !== undefined) throw failure.error;
}

function costOf({ plan }: Planned): number {
  return plan.stages.reduce((sum, { costMs }) => sum + costMs, 0);
}

/** What a replica says of operations is said of the variant. */
function named(error: unknown, { path }: Planned): MeshError {
  const { reason, message, metadata, violations, retryAfterMs, resource } = toMeshError(error);
  if (message.startsWith('variants[')) return toMeshError(error);
  return new MeshError(reason, `${path}: ${message}`, {
    metadata,
    violations: violations.map(({ field, description }) => ({ field: `${path}.${field}`, description })),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(resource !== undefined && { resource }),
    cause: error,
  });
}
