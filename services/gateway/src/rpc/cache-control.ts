/** What caches may keep of replies to Connect GET. Errors, and all that changes, are "no-store" by default. */
import { ImageService } from '@imagemesh/api';
import type { Interceptor } from '@imagemesh/rpc';

const { method } = ImageService;

/**
 * Calls whose reply only the request and the bytes of the image decide. "private": they are answered to who may see the
 * image. An hour: what an encoder makes may change with the next release.
 */
const functions: ReadonlySet<string> = new Set(
  [
    method.transform,
    method.explainTransform,
    method.analyzeImage,
    method.detectFaces,
    method.listOperations,
  ].map(({ name }) => name),
);

export function createCacheControl(): Interceptor {
  return (next) => async (request) => {
    const reply = await next(request);
    const isFunction =
      request.method.parent.typeName === ImageService.typeName && functions.has(request.method.name);
    if (request.requestMethod === 'GET' && isFunction)
      reply.header.set('cache-control', 'private, max-age=3600');
    return reply;
  };
}
