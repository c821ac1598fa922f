/** Runs every filter once before the first call, so that V8 has compiled what the first call will need. */
import { create } from '@bufbuild/protobuf';
import { OperationSchema } from '@imagemesh/api';
import { applyOperations } from './kernels/index.ts';
import { typeOf } from './mat-scope.ts';
import type { OpenCv } from './opencv.ts';

const filters = ['blur', 'gaussianBlur', 'medianBlur', 'edges', 'grayscale'] as const;
const side = 256;

export function warmUp(cv: OpenCv): void {
  for (const name of filters) {
    const operation = create(OperationSchema, { operation: { case: name, value: {} } });
    const image = new cv.Mat(side, side, typeOf(cv, 4));
    image.data.forEach((_, index, data) => {
      data[index] = (index * index) >>> 8;
    });
    applyOperations(cv, image, [operation], () => {}).delete();
  }
}
