/** Refuses what this service cannot do, from the spec and the source's header, before anything is decoded. */
import type { Operation } from '@imagemesh/api';
import {
  checkFilterPixels,
  type ImageLimits,
  isSmartGravity,
  operationName,
  planFrames,
  quarterTurns,
  sourceFrames,
} from '@imagemesh/image';
import { invalidField } from '@imagemesh/rpc';
import type { Work } from '@imagemesh/worker';
import { hasKernel } from './kernels/index.ts';

export function validate({ source, operations, sizes, result }: Work, limits: ImageLimits): void {
  if (result.kind === 'analysis') throw invalidField('analysis', 'the resize service measures images');
  planFrames(sourceFrames(source), operations);
  for (const [index, operation] of operations.entries()) checkOperation(operation, `operations[${index}]`);
  if (result.kind === 'faces' && sourceFrames(source) > 1) {
    throw invalidField('faces', 'are looked for in still images; select_frame makes one of an animation');
  }
  checkFilterPixels(sizes, operations, limits);
}

function checkOperation(operation: Operation, field: string): void {
  const step = operation.operation;
  if (step.case === undefined) throw invalidField(field, 'an operation must be set');
  if (!hasKernel(step.case)) {
    throw invalidField(`${field}.${operationName(operation)}`, 'not an operation of the filter service');
  }
  if (step.case === 'rotate' && quarterTurns(step.value.angle ?? 0) === undefined) {
    throw invalidField(`${field}.rotate.angle`, 'the filter service turns by multiples of 90 degrees only');
  }
  if (step.case === 'crop' && isSmartGravity(step.value.gravity)) {
    throw invalidField(`${field}.crop.gravity`, 'the filter service does not look for a place');
  }
}
