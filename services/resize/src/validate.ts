/** What this service does, and what it refuses beyond what the skeleton has checked. */
import { operationName, planFrames, sourceFrames } from '@imagemesh/image';
import { invalidField } from '@imagemesh/rpc';
import type { Work } from '@imagemesh/worker';

/** Proto field names of the operations. */
export const resizeOperations: readonly string[] = [
  'resize',
  'crop',
  'rotate',
  'flip',
  'trim',
  'extend',
  'round_corners',
  'flatten',
  'select_frame',
  'watermark',
  'text',
];

/** Sizes, ranges and limits are checked already; what is left is what frames allow. */
export function validate({ source, operations, result }: Work): void {
  if (result.kind === 'faces') throw invalidField('faces', 'the filter service looks for faces');
  planFrames(sourceFrames(source), operations);
  for (const [index, operation] of operations.entries()) {
    if (resizeOperations.includes(operationName(operation))) continue;
    throw invalidField(`operations[${index}]`, 'is not an operation of the resize service');
  }
}
