/** Refuses what this service cannot do, from the spec and the source's header, before anything is decoded. */
import type { Operation } from '@imagemesh/api';
import { operationName, quarterTurns } from '@imagemesh/image';
import { invalidField, MeshError } from '@imagemesh/rpc';
import type { Work } from '@imagemesh/worker';
import { isKernelCase } from './kernels.ts';
import { leadingCrops } from './pixels-to-mat.ts';

/**
 * `maxPixels`: the largest image that is filtered. The wasm heap ends at 1 GiB and Canny, the hungriest, takes up to
 * 20 bytes a pixel.
 */
export function validate({ source, operations, sizes }: Omit<Work, 'result'>, maxPixels: number): void {
  if (source.kind === 'pixels' && source.content.iccProfile.length > 0) {
    throw invalidField('pixels.icc_profile', 'pixels between stages are sRGB; a profile is not taken');
  }
  for (const [index, operation] of operations.entries()) checkOperation(operation, `operations[${index}]`);
  // Crops at the beginning are done on the way into the heap.
  const first = leadingCrops(operations);
  for (const { width, height } of sizes.slice(first)) {
    if (width * height > maxPixels) {
      throw new MeshError(
        'TOO_MANY_PIXELS',
        `filters take images of up to ${maxPixels} px; this one has ${width}×${height} = ${width * height} px: ` +
          'resize or crop it first',
        { metadata: { width: String(width), height: String(height), maxFilterPixels: String(maxPixels) } },
      );
    }
  }
}

function checkOperation(operation: Operation, field: string): void {
  const step = operation.operation;
  if (step.case === undefined) throw invalidField(field, 'an operation must be set');
  if (!isKernelCase(step.case)) {
    throw invalidField(`${field}.${operationName(operation)}`, 'not an operation of the filter service');
  }
  if (step.case === 'rotate' && quarterTurns(step.value.angle ?? 0) === undefined) {
    throw invalidField(`${field}.rotate.angle`, 'the filter service turns by multiples of 90 degrees only');
  }
}
