/** ImageService.AnalyzeImage: what the pixels of an image say. */
import { create } from '@bufbuild/protobuf';
import {
  type AnalyzeImageRequest,
  type AnalyzeImageResponse,
  AnalyzeImageResponseSchema,
} from '@imagemesh/api';
import type { Measurements } from '../measurements.ts';
import type { Sources } from '../source.ts';
import type { Unary } from './call-shapes.ts';

export function analyzeImage(
  sources: Sources,
  measurements: Measurements,
): Unary<AnalyzeImageRequest, AnalyzeImageResponse> {
  return async ({ source: given }, call) => {
    const source = await sources.resolve(call, given);
    try {
      return create(AnalyzeImageResponseSchema, {
        info: source.info,
        analysis: await measurements.analyze(call, source),
      });
    } finally {
      await source.release();
    }
  };
}
