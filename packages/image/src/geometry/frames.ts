/** What a pipeline does to the frames of an animation. */
import { enumToJson } from '@bufbuild/protobuf';
import { Fit, GravitySchema, type Operation } from '@imagemesh/api';
import { invalidField, MeshError } from '@imagemesh/rpc';
import { outOfBounds } from './checks.ts';
import { isSmartGravity } from './place.ts';

export interface FramePlan {
  /** Frames of the result. */
  readonly frames: number;
  /** The frame that the operations work on alone; undefined: on all of them. */
  readonly selected: number | undefined;
}

/**
 * Throws ANIMATION_REFUSED for an operation that would give frames of different sizes or let them jump, INVALID_REQUEST
 * for a select_frame that is not the first, OPERATION_OUT_OF_BOUNDS for one beyond the last frame.
 */
export function planFrames(frames: number, operations: readonly Operation[], path = 'operations'): FramePlan {
  const [first] = operations;
  const selected = first?.operation.case === 'selectFrame' ? (first.operation.value.index ?? 0) : undefined;
  for (const [index, { operation }] of operations.entries()) {
    if (index > 0 && operation.case === 'selectFrame') {
      throw invalidField(`${path}[${index}].select_frame`, 'must be the first operation');
    }
  }
  if (selected !== undefined) {
    if (selected < frames) return { frames: 1, selected };
    const description = `the image has ${frames === 1 ? 'one frame' : `${frames} frames`}, the first is 0`;
    throw outOfBounds(`${path}[0].select_frame.index`, description, { frames: String(frames) });
  }
  if (frames > 1) for (const [index, operation] of operations.entries()) checkFrames(operation, path, index);
  return { frames, selected };
}

function checkFrames({ operation }: Operation, path: string, index: number): void {
  if (operation.case === 'trim' || operation.case === 'cropToFaces') {
    const name = operation.case === 'trim' ? 'trim' : 'crop_to_faces';
    throw refused(`${path}[${index}].${name}`, 'would cut each frame differently');
  }
  const gravity =
    operation.case === 'crop' || (operation.case === 'resize' && operation.value.fit === Fit.COVER)
      ? operation.value.gravity
      : undefined;
  if (gravity === undefined || !isSmartGravity(gravity)) return;
  const field = `${path}[${index}].${operation.case}.gravity`;
  throw refused(field, `${enumToJson(GravitySchema, gravity)} would choose another part in each frame`);
}

function refused(field: string, why: string): MeshError {
  const description = `${why}; the image is animated: choose another operation, or select_frame first`;
  return new MeshError('ANIMATION_REFUSED', `${field}: ${description}`, {
    violations: [{ field, description }],
  });
}
