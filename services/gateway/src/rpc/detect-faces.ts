/** ImageService.DetectFaces: where the faces of an image are. */
import { create } from '@bufbuild/protobuf';
import {
  type DetectFacesRequest,
  type DetectFacesResponse,
  DetectFacesResponseSchema,
  FaceSearchSchema,
} from '@imagemesh/api';
import type { Measurements } from '../measurements.ts';
import type { Sources } from '../source.ts';
import type { Unary } from './call-shapes.ts';

export function detectFaces(
  sources: Sources,
  measurements: Measurements,
): Unary<DetectFacesRequest, DetectFacesResponse> {
  return async ({ source: given, search = create(FaceSearchSchema) }, call) => {
    const source = await sources.resolve(call, given);
    try {
      const faces = await measurements.detectFaces(call, source, search);
      return create(DetectFacesResponseSchema, { info: source.info, faces: [...faces] });
    } finally {
      await source.release();
    }
  };
}
