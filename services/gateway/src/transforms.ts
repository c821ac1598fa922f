/** A synchronous transform from a ready source to a held result: plan, deadline, run, event. */
import { create } from '@bufbuild/protobuf';
import { type Operation, type Output, TransformEventSchema } from '@imagemesh/api';
import type { EventPublisher } from '@imagemesh/events';
import type { ImageLimits } from '@imagemesh/image';
import type { Admission } from './admit.ts';
import { type DeadlineLimits, type IncomingCall, withDeadline } from './call.ts';
import type { Meters } from './meters.ts';
import { planPipeline } from './plan.ts';
import type { PipelineResult, PipelineRunner } from './run-pipeline.ts';
import type { ReadySource, Sources } from './source.ts';
import { checkWatermarks } from './watermarks.ts';

export interface Transforms {
  readonly sources: Sources;
  /** The result, which the caller releases. */
  run(
    call: IncomingCall,
    source: ReadySource,
    operations: readonly Operation[],
    output: Output | undefined,
  ): Promise<PipelineResult>;
}

export interface TransformParts {
  readonly sources: Sources;
  readonly runner: PipelineRunner;
  readonly events: EventPublisher;
  readonly imageLimits: ImageLimits;
  readonly deadlines: DeadlineLimits;
  readonly admission: Admission;
  readonly meters: Meters;
}

export function createTransforms(parts: TransformParts): Transforms {
  const { sources, runner, events, imageLimits, deadlines, admission, meters } = parts;
  return {
    sources,
    async run(call, source, operations, output) {
      const plan = planPipeline({ info: source.info, operations, output, limits: imageLimits });
      await checkWatermarks(sources, call, operations);
      const result = await admission.run(source.info, () =>
        withDeadline(call, deadlines, (context) => runner.run(context, source, plan)),
      );
      meters.transferred('in', source.sizeBytes);
      meters.transferred('out', result.sizeBytes);
      events.offer({
        type: 'imagemesh.transform.completed',
        subject: call.requestId,
        owner: call.owner,
        schema: TransformEventSchema,
        data: create(TransformEventSchema, {
          requestId: call.requestId,
          info: result.info,
          durationMs: result.report.durationMs,
        }),
        trace: call.trace,
        requestId: call.requestId,
      });
      return result;
    },
  };
}
