/**
 * The public port as a whole: protocols, limits, who may come in, CORS, errors. What it serves is given to it: the gateway's
 * own services, and the one that test/conformance tests it with.
 */
import type { Logger } from '@imagemesh/observe';
import { createRpcHandler, type RpcHandlerOptions } from '@imagemesh/rpc';
import type { Config } from './config.ts';
import { createCors } from './cors.ts';
import { type Front, type FrontOptions, startFront } from './front.ts';
import type { EnterHttp } from './identity/enter-http.ts';
import type { Access } from './identity/method-access.ts';
import { contextWith } from './rpc/on-connect.ts';

export interface EdgeOptions
  extends Required<
      Pick<RpcHandlerOptions, 'routes' | 'interceptors' | 'readMaxBytes' | 'writeMaxBytes' | 'bodyTimeoutMs'>
    >,
    Pick<RpcHandlerOptions, 'fallback'>,
    Pick<FrontOptions, 'streams' | 'tls'> {
  readonly config: Pick<Config, 'host' | 'port' | 'corsOrigins' | 'connections'>;
  readonly enter: EnterHttp;
  /** What a method asks of its caller. Paths have the form "/package.Service/Method". */
  readonly accessOf: (path: string) => Access;
  readonly log: Logger;
}

/** Rejects with the system's error (EADDRINUSE, …). */
export function startEdge({
  config,
  enter,
  accessOf,
  streams,
  tls,
  ...options
}: EdgeOptions): Promise<Front> {
  const { readMaxBytes, bodyTimeoutMs } = options;
  const handler = createRpcHandler({
    ...options,
    contextOf: (request, path, response) => {
      const entry = enter(request, response, accessOf(path));
      // Connect holds a whole message before a handler sees it.
      const sizeBytes = Math.min(Number(request.headers['content-length'] ?? 0), readMaxBytes);
      if (sizeBytes > 0) response.once('close', entry.budget.take(sizeBytes));
      return contextWith(entry);
    },
  });
  const allowOrigins = createCors(config.corsOrigins);
  return startFront({
    host: config.host,
    port: config.port,
    tls,
    limits: config.connections,
    bodyTimeoutMs,
    streams,
    handle: (request, response) => {
      if (!allowOrigins(request, response)) handler.request(request, response);
    },
  });
}
