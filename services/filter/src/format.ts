/** Has the thread that keeps the pixels encode them, hand them out for the next stage or look for faces, and gives it back. */
import { create } from '@bufbuild/protobuf';
import { FaceListSchema, FaceSchema, type FaceSearch } from '@imagemesh/api';
import type { Formatted, Work, WorkCall } from '@imagemesh/worker';
import type { Picture } from './process.ts';

export async function format(picture: Picture, { result }: Work, call: WorkCall): Promise<Formatted> {
  try {
    if (result.kind === 'faces') return await faces(picture, result.search);
    const reply = await picture.ask({
      kind: 'format',
      output: result.kind === 'encoded' ? result.output : undefined,
      alternative: result.kind === 'encoded' ? result.alternative : undefined,
      limits: call.limits,
      timeoutMs: call.remainingMs(),
    });
    switch (reply.kind) {
      case 'encoded':
        return {
          bytes: reply.bytes,
          content: { case: 'encoded', value: reply.info },
          encoding: reply.encoding,
        };
      case 'pixels':
        return { bytes: reply.bytes, content: { case: 'pixels', value: reply.content } };
      default:
        throw new Error(`the filter thread answered "format" with "${reply.kind}"`);
    }
  } finally {
    await picture.release();
  }
}

async function faces(picture: Picture, search: FaceSearch): Promise<Formatted> {
  const reply = await picture.ask({ kind: 'findFaces', search });
  if (reply.kind !== 'faces') throw new Error(`the filter thread answered "findFaces" with "${reply.kind}"`);
  const value = create(FaceListSchema, { faces: reply.faces.map((face) => create(FaceSchema, face)) });
  return { bytes: new Uint8Array(0), content: { case: 'faces', value } };
}
