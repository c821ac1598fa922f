/** ImageService.TransformStream: one image of any allowed size in chunks, its result in chunks. */

import { create } from '@bufbuild/protobuf';
import {
  type TransformSpec,
  type TransformStreamResponse,
  TransformStreamResponseSchema,
} from '@imagemesh/api';
import { invalidField } from '@imagemesh/rpc';
import type { BlobStore } from '@imagemesh/store';
import type { IncomingCall } from '../call.ts';
import { readHeld } from '../inner-errors.ts';
import type { PipelineResult } from '../run-pipeline.ts';
import type { ReadySource } from '../source.ts';
import type { Transforms } from '../transforms.ts';
import type { IncomingChunks, StreamedReply, Transfer } from './call-shapes.ts';

export function transformStream(
  transforms: Transforms,
  store: BlobStore,
): Transfer<TransformSpec, TransformStreamResponse> {
  return async (spec, chunks, call) => {
    const source = await readSource(transforms, spec, chunks, call);
    try {
      const result = await transforms.run(call, source, spec.operations, spec.output);
      try {
        return await reply(result, store);
      } catch (error) {
        await result.release();
        throw error;
      }
    } finally {
      await source.release();
    }
  };
}

async function readSource(
  { sources }: Transforms,
  spec: TransformSpec,
  chunks: IncomingChunks,
  call: IncomingCall,
): Promise<ReadySource> {
  if (spec.imageId === undefined) {
    return sources.receive(call, chunks, spec.sizeBytes === undefined ? undefined : Number(spec.sizeBytes));
  }
  const source = await sources.find(call, spec.imageId);
  const refuse = () => {
    throw invalidField('chunk', 'no chunk may follow a spec with image_id');
  };
  await chunks.eachChunk(refuse, Number.POSITIVE_INFINITY);
  return { ...source, release: async () => {} };
}

async function reply(
  result: PipelineResult,
  store: BlobStore,
): Promise<StreamedReply<TransformStreamResponse>> {
  const { info, report, held } = result;
  const first = create(TransformStreamResponseSchema, {
    message: { case: 'header', value: { info, report } },
  });
  const bytes = held.kind === 'memory' ? held.bytes : (await readHeld(store, held.id)).stream();
  return { first, bytes, release: () => result.release() };
}
