/** Connect's router behind a Node request listener, with limits set and every error one of the mesh's. */
import type { ServerResponse } from 'node:http';
import {
  type ConnectRouter,
  type ContextValues,
  createConnectRouter,
  type Interceptor,
} from '@connectrpc/connect';
import {
  type connectNodeAdapter,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import type { Logger } from '@imagemesh/observe';
import { withMeshErrors } from './early-errors.ts';
import { errorDetails } from './error-details.ts';
import { MeshError } from './errors.ts';
import { MAX_MESSAGE_BYTES } from './frames.ts';
import { statusTrailers } from './grpc-status.ts';
import { toMeshError } from './mesh-errors.ts';
import { REQUEST_ID_HEADER, requestIdFrom } from './metadata.ts';
import { refuseCall } from './refuse-call.ts';

type NodeHandler = ReturnType<typeof connectNodeAdapter>;
/** A request of node:http or node:http2. */
export type NodeServerRequest = Parameters<NodeHandler>[0];
/** Its response. */
export type NodeServerResponse = Parameters<NodeHandler>[1];

export interface ConnectHandlerOptions {
  readonly routes: (router: ConnectRouter) => void;
  readonly interceptors?: readonly Interceptor[];
  readonly readMaxBytes?: number;
  readonly writeMaxBytes?: number;
  /**
   * Looks at a call before anything of its body is read: throws a MeshError to refuse it; what it returns, handlers find in
   * their context. Paths have the form "/package.Service/Method".
   */
  readonly contextOf?: (
    request: NodeServerRequest,
    path: string,
    response: NodeServerResponse,
  ) => ContextValues;
  readonly fallback?: (request: NodeServerRequest, response: NodeServerResponse) => void;
  readonly log?: Logger;
}

export interface ConnectHandler {
  /** Paths that have a route. */
  readonly paths: ReadonlySet<string>;
  readonly handle: (request: NodeServerRequest, response: NodeServerResponse) => void;
}

/** Does what connectNodeAdapter does; besides, errors that Connect raises before any interceptor get their details. */
export function createConnectHandler(options: ConnectHandlerOptions): ConnectHandler {
  const {
    routes,
    interceptors = [],
    readMaxBytes = MAX_MESSAGE_BYTES,
    writeMaxBytes = MAX_MESSAGE_BYTES,
  } = options;
  const router = createConnectRouter({
    // Image bytes do not compress, and the threads that would try are sharp's.
    acceptCompression: [],
    readMaxBytes,
    writeMaxBytes,
    interceptors: [...interceptors],
    // A job's error is a Status, whose details are Any.
    jsonOptions: { registry: errorDetails },
  });
  routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  const fallback = options.fallback ?? notFound;
  return {
    paths: new Set(handlers.keys()),
    handle: (request, response) => {
      const path = (request.url ?? '').split('?', 1)[0] ?? '';
      const handler = handlers.get(path);
      if (handler === undefined) {
        if (request.headers['content-type']?.startsWith('application/grpc') === true)
          unimplemented(path, response);
        else fallback(request, response);
        return;
      }
      let context: ContextValues | undefined;
      try {
        context = options.contextOf?.(request, path, response);
      } catch (error) {
        refuse(request, response, path, toMeshError(error), options.log);
        return;
      }
      handler(universalRequestFromNodeRequest(request, response, undefined, context))
        .then(async (reply) => universalResponseToNodeResponse(await withMeshErrors(reply), response))
        .catch((error: unknown) => {
          // The client left while it was being answered, or its stream broke: there is nobody to tell.
          options.log?.debug({ err: error, path }, 'reply not delivered');
          if (!response.destroyed) response.destroy();
        });
    },
  };
}

/** The line that every call leaves at its end. */
function refuse(
  request: NodeServerRequest,
  response: NodeServerResponse,
  method: string,
  error: MeshError,
  log: Logger | undefined,
): void {
  const { reason, code, message } = error;
  const requestId = requestIdFrom(request.headers[REQUEST_ID_HEADER]);
  refuseCall(request, response, error, requestId);
  log?.info({ requestId, method, code, ms: 0, reason, message }, 'call');
}

/** The trailers-only form, which gRPC-Web has too. */
function unimplemented(path: string, response: NodeServerResponse): void {
  const [, service = '', method = ''] = path.split('/');
  const error = new MeshError('NOT_IMPLEMENTED', `there is no method ${method} of ${service} here`);
  response.writeHead(200, { 'content-type': 'application/grpc', ...statusTrailers(error) });
  end(response);
}

function notFound(request: NodeServerRequest, response: NodeServerResponse): void {
  response.writeHead(404, { 'content-type': 'application/json' });
  const message = `nothing is served at ${(request.url ?? '').slice(0, 200)}`;
  end(response, `${JSON.stringify({ error: { code: 'not_found', reason: 'ROUTE_NOT_FOUND', message } })}\n`);
}

/** Connect's type of a response leaves out the overload. */
function end(response: NodeServerResponse, body = ''): void {
  // Both kinds of response have end(string).
  (response as ServerResponse).end(body);
}
