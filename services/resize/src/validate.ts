/** What this service does, and what it refuses beyond what the skeleton has checked. */
import { invalidField } from '@imagemesh/rpc';
import type { Work } from '@imagemesh/worker';

/** Proto field names of the operations. */
export const resizeOperations: readonly string[] = ['resize', 'crop', 'rotate', 'flip'];

/** Sizes, ranges and limits are checked already; what is left are the ways of Resize. */
export function validate({ source, operations }: Work): void {
  if (source.kind === 'pixels' && source.content.iccProfile.length > 0) {
    throw invalidField('pixels.icc_profile', 'pixels between stages are sRGB; a profile is not taken');
  }
  for (const [index, { operation }] of operations.entries()) {
    if (operation.case !== undefined && resizeOperations.includes(operation.case)) continue;
    throw invalidField(`operations[${index}]`, 'is not an operation of the resize service');
  }
}
