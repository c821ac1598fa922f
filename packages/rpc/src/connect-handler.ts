/** Connect's router behind a Node request listener, with limits set and every error one of the mesh's. */
import type { ServerResponse } from 'node:http';
import {
  type ConnectRouter,
  type ContextValues,
  createConnectRouter,
  createContextValues,
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
import { hasFailed, isIntercepted } from './interceptors.ts';
import { toMeshError } from './mesh-errors.ts';
import { REQUEST_ID_HEADER, requestIdFrom } from './metadata.ts';
import { refuseCall } from './refuse-call.ts';
import { requestBody } from './request-body.ts';
import { stopReading } from './wire-server.ts';

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
  /** Time for a whole request to arrive. Default: no limit. */
  readonly bodyTimeoutMs?: number;
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
  const services = new Set([...handlers.keys()].map(serviceIn));
  const fallback = options.fallback ?? notFound;
  return {
    paths: new Set(handlers.keys()),
    handle: (request, response) => {
      const startedMs = performance.now();
      const requestId = requestIdFrom(request.headers[REQUEST_ID_HEADER]);
      const path = (request.url ?? '').split('?', 1)[0] ?? '';
      const handler = handlers.get(path);
      if (handler === undefined) {
        const isKnown = services.has(serviceIn(path));
        if (isKnown || isCall(request.headers))
          refuseCall(request, response, notImplemented(path), requestId, isKnown ? undefined : 404);
        else fallback(request, response);
        return;
      }
      const log = ({ code, reason, message }: MeshError) => {
        const ms = Math.round((performance.now() - startedMs) * 10) / 10;
        options.log?.info({ requestId, method: path, code, reason, message, ms }, 'call');
      };
      let context: ContextValues;
      try {
        context = options.contextOf?.(request, path, response) ?? createContextValues();
      } catch (error) {
        const refusal = toMeshError(error);
        refuseCall(request, response, refusal, requestId);
        log(refusal);
        return;
      }
      const universal = universalRequestFromNodeRequest(request, response, undefined, context);
      const body = requestBody(request, options.bodyTimeoutMs);
      // Interceptors and handlers see the id that the reply has.
      universal.header.set(REQUEST_ID_HEADER, requestId);
      const early = {
        isGrpc: isGrpc(request.headers),
        isHandlers: () => hasFailed(context),
        onRefused: (error: MeshError) => {
          if (!isIntercepted(context)) log(error);
        },
      };
      endRequestAfter(response, request);
      handler({ ...universal, body })
        .then(async (reply) => {
          const header = replyHeader(reply.header, requestId, request.method === 'GET');
          if (reply.status === 405) header.set('allow', handler.allowedMethods.join(', '));
          const mended = await withMeshErrors({ ...reply, header }, early);
          await universalResponseToNodeResponse(mended, response);
        })
        .catch((error: unknown) => {
          // The client left while it was being answered, or its stream broke: there is nobody to tell.
          options.log?.debug({ err: error, path, requestId }, 'reply not delivered');
          if (!response.destroyed) response.destroy();
        });
    },
  };
}

/** How long a client of HTTP/1 may go on sending after it has its reply. */
const lingerMs = 2000;

/** Once the reply is out, a client that is still sending is told that nobody reads any more. */
function endRequestAfter(response: NodeServerResponse, request: NodeServerRequest): void {
  if ('stream' in response) {
    const { stream } = response;
    stream.once('finish', () => stopReading(stream));
    return;
  }
  response.once('finish', () => {
    if (request.complete) return;
    request.resume();
    const { socket } = request;
    const timer = setTimeout(() => socket.destroy(), lingerMs).unref();
    request.once('close', () => clearTimeout(timer));
  });
}

function replyHeader(given: Headers | undefined, requestId: string, isGet: boolean): Headers {
  const header = new Headers(given);
  header.set(REQUEST_ID_HEADER, requestId);
  if (isGet && !header.has('cache-control')) header.set('cache-control', 'no-store');
  // Connect lists the compressions that are taken, which are none.
  if (header.get('accept-encoding') === '') header.set('accept-encoding', 'identity');
  return header;
}

function isGrpc({ 'content-type': contentType }: NodeServerRequest['headers']): boolean {
  return contentType?.startsWith('application/grpc') === true;
}

/** Whether the request says that it is a call. JSON alone does not: forms and scripts post it too. */
function isCall(headers: NodeServerRequest['headers']): boolean {
  const contentType = headers['content-type'] ?? '';
  const isConnect = contentType.startsWith('application/connect+') || contentType === 'application/proto';
  return isGrpc(headers) || isConnect || headers['connect-protocol-version'] !== undefined;
}

function notImplemented(path: string): MeshError {
  const [, service = '', method = ''] = path.slice(0, 200).split('/');
  return new MeshError('NOT_IMPLEMENTED', `there is no method ${method} of ${service} here`);
}

function serviceIn(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

function notFound(request: NodeServerRequest, response: NodeServerResponse): void {
  const requestId = requestIdFrom(request.headers[REQUEST_ID_HEADER]);
  response.writeHead(404, { 'content-type': 'application/json', [REQUEST_ID_HEADER]: requestId });
  const message = `nothing is served at ${(request.url ?? '').slice(0, 200)}`;
  end(response, `${JSON.stringify({ error: { code: 'not_found', reason: 'ROUTE_NOT_FOUND', message } })}\n`);
}

/** Connect's type of a response leaves out the overload. */
function end(response: NodeServerResponse, body = ''): void {
  // Both kinds of response have end(string).
  (response as ServerResponse).end(body);
}
