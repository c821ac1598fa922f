/** ImageService.Render: several variants of one image, each streamed as soon as it is ready. */

import { create } from '@bufbuild/protobuf';
import { type RenderRequest, type RenderResponse, RenderResponseSchema } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import type { BlobStore } from '@imagemesh/store';
import type { IncomingCall } from '../call.ts';
import { createHandOff } from '../hand-off.ts';
import { readHeld } from '../inner-errors.ts';
import type { Render } from '../render.ts';
import type { PipelineResult } from '../run-pipeline.ts';
import type { Sources } from '../source.ts';
import { replyChunkBytes, type Watch } from './call-shapes.ts';

export function render(
  sources: Sources,
  renderVariants: Render,
  store: BlobStore,
): Watch<RenderRequest, RenderResponse> {
  return async function* ({ source: given, variants }, call) {
    const source = await sources.resolve(call, given);
    // The reader sets the pace: a variant is not over before its last chunk is taken.
    const reply = createHandOff<RenderResponse>();
    const leave = new AbortController();
    const signal = AbortSignal.any([call.signal, leave.signal]);
    const working = renderVariants({ ...call, signal }, source, variants, async (name, result) => {
      for await (const message of messagesOf(name, result, store, call)) await reply.put(message);
    }).then(
      () => reply.end(),
      (error) => reply.end(error),
    );
    try {
      yield* reply.items;
    } finally {
      leave.abort(new MeshError('CANCELLED', 'the caller reads no more'));
      await working;
      await source.release();
    }
  };
}

async function* messagesOf(
  name: string,
  { info, report, held }: PipelineResult,
  store: BlobStore,
  { signal }: IncomingCall,
): AsyncIterable<RenderResponse> {
  yield create(RenderResponseSchema, { message: { case: 'header', value: { name, info, report } } });
  const bytes = held.kind === 'memory' ? [held.bytes] : (await readHeld(store, held.id)).stream();
  for await (const part of bytes) {
    for (let at = 0; at < part.length; at += replyChunkBytes) {
      signal.throwIfAborted();
      const value = part.subarray(at, at + replyChunkBytes);
      yield create(RenderResponseSchema, { message: { case: 'chunk', value } });
    }
  }
}
