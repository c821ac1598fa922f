/** A stand-in for the mesh that answers each call as its request id says. For tests. */
import { once } from 'node:events';
import { create } from '@bufbuild/protobuf';
import { Format, ImageInfoSchema } from '@imagemesh/api';
import { isErrorReason, MeshError, REQUEST_ID_HEADER } from '@imagemesh/rpc';
import { type Answer, encoded, pixels } from './peer.ts';

/**
 * `say-<REASON>`: that error, as a balancer passes it on. `say-never…`: nothing, until the caller leaves. `say-pixels`: what
 * nobody asked for. `say-bytes-<n>`: a result of that size. Anything else: a small image.
 */
export const speaking: Answer = async (seen, wire) => {
  const [, word = ''] = /^say-([A-Za-z0-9_-]+)$/.exec(String(seen.headers[REQUEST_ID_HEADER])) ?? [];
  if (isErrorReason(word)) throw new MeshError(word, 'as the mesh says');
  const [, size] = /^bytes-(\d+)$/.exec(word) ?? [];
  if (size !== undefined) return image(new Uint8Array(Number(size)));
  if (word.startsWith('never')) {
    await once(wire.signal, 'abort');
    throw new MeshError('CANCELLED', 'the caller left');
  }
  return word === 'pixels' ? pixels(seen, wire) : encoded(seen, wire);
};

function image(bytes: Uint8Array): Awaited<ReturnType<Answer>> {
  const info = create(ImageInfoSchema, { format: Format.PNG, width: 10, height: 5 });
  return { header: { content: { case: 'encoded', value: info } }, bytes };
}
