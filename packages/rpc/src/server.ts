/**
 * The one server of the mesh: tuned node:http2; gRPC, gRPC-Web and Connect through Connect, chosen paths raw.
 *
 * `createRpcHandler` makes what serves; `startRpcServer` puts it on a port. The gateway uses the handler behind its own
 * listening socket, for HTTP/1.1 beside HTTP/2.
 */
import { createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { ConnectRouter, ContextValues, Interceptor } from '@connectrpc/connect';
import type { Logger } from '@imagemesh/observe';
import { createConnectHandler, type NodeServerRequest, type NodeServerResponse } from './connect-handler.ts';
import { http2ServerOptions } from './http2-options.ts';
import type { MeshTls } from './mesh-tls.ts';
import { type SessionTracker, trackSessions } from './track-sessions.ts';
import { isGrpcContentType, type StreamHandler } from './wire-server.ts';

export interface RpcHandlerOptions {
  /** Registers services on Connect's router. */
  readonly routes: (router: ConnectRouter) => void;
  /**
   * Paths ("/imagemesh.v1.ResizeService/Resize") that are served raw when called as plain gRPC (application/grpc,
   * identity encoding). Called in any other way they go to Connect, if `routes` has them too.
   */
  readonly streams?: ReadonlyMap<string, StreamHandler>;
  /** Outermost first; see standardInterceptors. */
  readonly interceptors?: readonly Interceptor[];
  /** Most bytes of one message of a request through Connect. Default 4 MiB. */
  readonly readMaxBytes?: number;
  /** Most bytes of one message of a reply through Connect. Default 4 MiB. */
  readonly writeMaxBytes?: number;
  /**
   * Looks at a call through Connect before anything of its body is read: throws a MeshError to refuse it; what it returns,
   * handlers find in their context. Paths have the form "/package.Service/Method".
   */
  readonly contextOf?: (
    request: NodeServerRequest,
    path: string,
    response: NodeServerResponse,
  ) => ContextValues;
  /** Time for a whole request through Connect to arrive; then DEADLINE_EXCEEDED. Default: no limit. */
  readonly bodyTimeoutMs?: number;
  /** What no route matches, REST for instance. Default: gRPC UNIMPLEMENTED, or HTTP 404. */
  readonly fallback?: (request: NodeServerRequest, response: NodeServerResponse) => void;
  /** For failures that no call could be told of, and calls that `contextOf` refuses. */
  readonly log?: Logger;
}

export interface RpcHandler {
  /** Serves every stream of the HTTP/2 server. */
  attach(server: Http2Server): void;
  /** Serves a request of an HTTP/1.1 server. */
  request(request: NodeServerRequest, response: NodeServerResponse): void;
}

export function createRpcHandler(options: RpcHandlerOptions): RpcHandler {
  const connect = createConnectHandler(options);
  // Makes node:http2's request and response objects for streams that do not go raw; never listens itself.
  const compat = createServer(http2ServerOptions, connect.handle);
  const streams = options.streams ?? new Map<string, StreamHandler>();
  return {
    request: connect.handle,
    attach: (server) => {
      server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, ...rest: unknown[]) => {
        const path = headers[':path'] ?? '';
        const raw = streams.get(path);
        if (raw !== undefined && (isPlainGrpc(headers) || !connect.paths.has(path))) raw(stream, headers);
        else compat.emit('stream', stream, headers, ...rest);
      });
    },
  };
}

function isPlainGrpc(headers: IncomingHttpHeaders): boolean {
  const encoding = headers['grpc-encoding'];
  return isGrpcContentType(headers['content-type']) && (encoding === undefined || encoding === 'identity');
}

export interface RpcServerOptions extends RpcHandlerOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** Connections at once; more are refused. Default 1024. */
  readonly maxConnections?: number;
  /** Members of the mesh only. Without it connections are in clear. */
  readonly tls?: MeshTls | undefined;
}

export interface RpcServer {
  readonly port: number;
  readonly sessions: SessionTracker;
  /** Stops listening, says GOAWAY, waits up to graceMs for running calls, ends the rest. */
  close(graceMs: number): Promise<void>;
}

const defaultMaxConnections = 1024;

/** Starts the server; rejects with the system's error (EADDRINUSE, …). */
export async function startRpcServer(options: RpcServerOptions): Promise<RpcServer> {
  const { host = '127.0.0.1', port = 0, maxConnections = defaultMaxConnections, tls } = options;
  const h2 = createServer(http2ServerOptions);
  createRpcHandler(options).attach(h2);
  const sessions = trackSessions(h2);
  const server = tls === undefined ? h2 : tls.createListener((socket) => h2.emit('connection', socket));
  server.maxConnections = maxConnections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', (error) => options.log?.error({ err: error }, 'server error'));
  return {
    // A TCP server that listens has such an address.
    port: (server.address() as AddressInfo).port,
    sessions,
    close: async (graceMs) => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await sessions.close(graceMs);
      await closed;
    },
  };
}
