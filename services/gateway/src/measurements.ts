/** What is asked of an image's pixels: measurements, by a resize replica, and faces, by a filter replica. */
import { create } from '@bufbuild/protobuf';
import {
  AnalysisResultSchema,
  type Face,
  type FaceSearch,
  type ImageAnalysis,
  OperationSchema,
  WorkerKind,
} from '@imagemesh/api';
import { type ImageLimits, uprightSize } from '@imagemesh/image';
import type { Admission } from './admit.ts';
import { type DeadlineLimits, type IncomingCall, withDeadline } from './call.ts';
import { planStages, type Worker } from './plan.ts';
import type { Measure, Measured, PipelineRunner } from './run-pipeline.ts';
import type { ReadySource } from './source.ts';

export interface MeasurementParts {
  readonly runner: PipelineRunner;
  readonly limits: ImageLimits;
  readonly deadlines: DeadlineLimits;
  readonly admission: Admission;
}

/** Of an animation, the first frame is looked at. */
export interface Measurements {
  analyze(call: IncomingCall, source: ReadySource): Promise<ImageAnalysis>;
  detectFaces(call: IncomingCall, source: ReadySource, search: FaceSearch): Promise<readonly Face[]>;
}

export function createMeasurements({ runner, limits, deadlines, admission }: MeasurementParts): Measurements {
  const first = create(OperationSchema, { operation: { case: 'selectFrame', value: {} } });

  function measure(
    call: IncomingCall,
    source: ReadySource,
    lastWorker: Worker,
    what: Measure,
  ): Promise<Measured> {
    const { info } = source;
    const stages = planStages({
      format: info.format,
      size: uprightSize(info),
      frames: 1,
      // So that only that frame is decoded.
      operations: info.frames > 1 ? [first] : [],
      lastWorker,
      output: undefined,
      alternative: undefined,
      limits,
      path: 'operations',
    });
    return admission.run(info, () =>
      withDeadline(call, deadlines, (context) => runner.measure(context, source, stages, what)),
    );
  }

  return {
    async analyze(call, source) {
      const what = { case: 'analysis', value: create(AnalysisResultSchema) } as const;
      const measured = await measure(call, source, WorkerKind.RESIZE, what);
      if (measured.case !== 'analysis') throw new Error('the runner has checked it');
      return measured.value;
    },
    async detectFaces(call, source, search) {
      const measured = await measure(call, source, WorkerKind.FILTER, { case: 'faces', value: search });
      if (measured.case !== 'faces') throw new Error('the runner has checked it');
      return measured.value.faces;
    },
  };
}
