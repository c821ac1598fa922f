/** ImageService.ExplainTransform: how a transform would run, without running it. */
import type { ExplainTransformRequest, ExplainTransformResponse } from '@imagemesh/api';
import type { ImageLimits } from '@imagemesh/image';
import { explain } from '../explain.ts';
import type { Sources } from '../source.ts';
import { checkWatermarks } from '../watermarks.ts';
import type { Unary } from './call-shapes.ts';

export function explainTransform(
  sources: Sources,
  limits: ImageLimits,
): Unary<ExplainTransformRequest, ExplainTransformResponse> {
  return async ({ source: given, operations, output }, call) => {
    const source = await sources.resolve(call, given);
    try {
      const response = explain({ info: source.info, operations, output, limits });
      await checkWatermarks(sources, call, operations);
      return response;
    } finally {
      await source.release();
    }
  };
}
