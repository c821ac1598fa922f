/** One function per path of the bench: does one call, checks that the reply has an image's size. */

import type { MessageInitShape } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  Format,
  type OperationSchema,
  OutputSchema,
  TransformRequestSchema,
  TransformResponseSchema,
} from '@imagemesh/api';
import { openWireCall, type SessionPool } from '@imagemesh/rpc';
import sharp from 'sharp';
import { stageCall } from './stage-call.ts';

const operations: MessageInitShape<typeof OperationSchema>[] = [
  { operation: { case: 'resize', value: { width: 800, height: 600 } } },
];
const output = create(OutputSchema, { format: Format.JPEG });
const maxReplyBytes = 16 * 1024 * 1024;

/** The same work as the mesh's default JPEG output: quality 80, without the slower Huffman tables. */
export async function sharpInProcess(source: Buffer): Promise<number> {
  const image = sharp(source, { failOn: 'error', autoOrient: true });
  const result = await image
    .resize(800, 600, { fit: 'fill' })
    .jpeg({ quality: 80, optimiseCoding: false })
    .toBuffer();
  return result.byteLength;
}

/** One stage of work, at a replica or at a balancer. */
export function resizeStage(pool: SessionPool, source: Buffer): Promise<number> {
  return stageCall(pool, 'resize', operations, source);
}

/** The whole mesh: the unary Transform over gRPC. */
export async function transform(pool: SessionPool, source: Buffer | string): Promise<number> {
  const call = openWireCall(pool, { path: '/imagemesh.v1.ImageService/Transform' });
  const request = create(TransformRequestSchema, {
    source: {
      source:
        typeof source === 'string' ? { case: 'imageId', value: source } : { case: 'data', value: source },
    },
    operations,
    output,
  });
  await call.writer.message(toBinary(TransformRequestSchema, request));
  call.end();
  const reply = await call.reader.message(maxReplyBytes);
  await call.status;
  return reply === undefined ? 0 : fromBinary(TransformResponseSchema, reply).data.byteLength;
}
