/** ImageService.Transform: one image in one message, its result in another. */
import { create } from '@bufbuild/protobuf';
import { type TransformRequest, type TransformResponse, TransformResponseSchema } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import type { Transforms } from '../transforms.ts';
import type { Unary } from './call-shapes.ts';

export function transform(
  transforms: Transforms,
  { maxUnaryResultBytes }: { readonly maxUnaryResultBytes: number },
): Unary<TransformRequest, TransformResponse> {
  return async ({ source: given, operations, output }, call) => {
    const source = await transforms.sources.resolve(call, given);
    try {
      const result = await transforms.run(call, source, operations, output);
      try {
        const { info, report, held, sizeBytes } = result;
        if (held.kind !== 'memory' || sizeBytes > maxUnaryResultBytes)
          throw tooLarge(sizeBytes, maxUnaryResultBytes);
        return create(TransformResponseSchema, { data: held.bytes, info, report });
      } finally {
        await result.release();
      }
    } finally {
      await source.release();
    }
  };
}

function tooLarge(sizeBytes: number, maxBytes: number): MeshError {
  return new MeshError(
    'RESULT_TOO_LARGE',
    `the result has ${sizeBytes} bytes, more than the ${maxBytes} that Transform answers; call TransformStream`,
    {
      metadata: {
        size: String(sizeBytes),
        limit: String(maxBytes),
        instead: 'imagemesh.v1.ImageService/TransformStream',
      },
    },
  );
}
