/** Measures an image on a resize replica. */
import { create } from '@bufbuild/protobuf';
import { type ImageAnalysis, OperationSchema } from '@imagemesh/api';
import { type ImageLimits, uprightSize } from '@imagemesh/image';
import type { Admission } from './admit.ts';
import { type DeadlineLimits, type IncomingCall, withDeadline } from './call.ts';
import { planStages } from './plan.ts';
import type { PipelineRunner } from './run-pipeline.ts';
import type { ReadySource } from './source.ts';

export interface AnalysisParts {
  readonly runner: PipelineRunner;
  readonly limits: ImageLimits;
  readonly deadlines: DeadlineLimits;
  readonly admission: Admission;
}

export type Analyze = (call: IncomingCall, source: ReadySource) => Promise<ImageAnalysis>;

export function createAnalyze({ runner, limits, deadlines, admission }: AnalysisParts): Analyze {
  return (call, source) => {
    const { info } = source;
    // Of an animation, only the first frame is decoded.
    const first = create(OperationSchema, { operation: { case: 'selectFrame', value: {} } });
    const [stage] = planStages({
      format: info.format,
      size: uprightSize(info),
      frames: 1,
      operations: info.frames > 1 ? [first] : [],
      output: undefined,
      alternative: undefined,
      limits,
      path: 'operations',
    });
    if (stage === undefined) throw new Error('there is always a stage');
    return admission.run(() =>
      withDeadline(call, deadlines, (context) => runner.analyze(context, source, stage)),
    );
  };
}
