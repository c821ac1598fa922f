/**
 * The HTTP side, for curl and <img>: what is not an RPC comes here. One log line a request; errors as JSON.
 */
import { childOf, type Logger, type Metrics, newTrace, parseTraceparent } from '@imagemesh/observe';
import {
  type CallSignal,
  closesConnection,
  createCallSignal,
  deadlineIn,
  dropRest,
  earlier,
  MeshError,
  type NodeServerRequest,
  type NodeServerResponse,
  REQUEST_ID_HEADER,
  requestIdFrom,
  TRACEPARENT_HEADER,
  toMeshError,
} from '@imagemesh/rpc';
import type { EnterHttp } from '../identity/enter-http.ts';
import {
  type HttpRequest,
  type HttpResponse,
  httpStatusOf,
  type RestCall,
  type Route,
  sendError,
  setRequestId,
} from './route.ts';
import { readTimeout, TIMEOUT_HEADER } from './timeout.ts';

export interface RestOptions {
  readonly routes: readonly Route[];
  readonly enter: EnterHttp;
  /** Time for a request to arrive and its reply to be made; a client may ask for less. */
  readonly timeoutMs: number;
  /** How long a client that is refused may go on sending before its connection is cut. Default 2000. */
  readonly lingerMs?: number;
  readonly log: Logger;
  readonly metrics: Metrics;
}

const defaultLingerMs = 2000;

/** For createRpcHandler's `fallback`. */
export function createRest({
  routes,
  enter,
  timeoutMs,
  lingerMs = defaultLingerMs,
  log,
  metrics,
}: RestOptions) {
  const requests = metrics.counter({
    name: 'imagemesh_gateway_http_requests_total',
    help: 'HTTP requests by route and status.',
    labelNames: ['route', 'status'] as const,
  });

  async function answer(call: RestCall, route: Route | undefined, allowed: readonly string[]): Promise<void> {
    const { request } = call;
    if (route !== undefined) return route.serve(call);
    const path = (request.url ?? '').split('?', 1)[0]?.slice(0, 200) ?? '';
    const resource = { type: 'route', name: path };
    throw allowed.length > 0
      ? new MeshError('METHOD_NOT_ALLOWED', `${request.method} is not allowed at ${path}`, { resource })
      : new MeshError('ROUTE_NOT_FOUND', `nothing is served at ${path}`, { resource });
  }

  async function serve(request: HttpRequest, response: HttpResponse): Promise<void> {
    const startedMs = performance.now();
    // A pipeline that fails takes the socket off the request.
    const connection = request.httpVersionMajor === 1 ? request.socket : response;
    const requestId = requestIdFrom(request.headers[REQUEST_ID_HEADER]);
    const parent = parseTraceparent(request.headers[TRACEPARENT_HEADER]);
    const trace = parent === undefined ? newTrace() : childOf(parent);
    const url = parseUrl(request.url ?? '/');
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const matches = routes.filter(({ pattern }) => pattern.test(url.pathname));
    const route = matches.find((candidate) => candidate.method === method);
    const leaving = new AbortController();
    let ending: CallSignal | undefined;
    let isSent = false;
    response.once('finish', () => {
      isSent = true;
    });
    // Every response closes; whoever has got the whole of it has not left.
    response.once('close', () => {
      if (!isSent) leaving.abort();
    });
    setRequestId(response, requestId);
    let failure: MeshError | undefined;
    try {
      const clientDeadline = readTimeout(request.headers[TIMEOUT_HEADER]);
      const deadline = earlier(clientDeadline, deadlineIn(timeoutMs));
      ending = createCallSignal({ deadline, parent: leaving.signal });
      const { signal } = ending;
      const { caller, budget } = enter(request, response, route?.access ?? 'open');
      const params = route?.pattern.exec(url.pathname)?.slice(1) ?? [];
      const call = {
        request,
        response,
        url,
        params,
        requestId,
        trace,
        signal,
        caller,
        owner: caller.owner,
        budget,
        clientDeadline,
      };
      await answer(
        call,
        route,
        matches.map((match) => match.method),
      );
    } catch (error) {
      failure = toMeshError(error);
      refuse(request, response, failure, requestId, matches);
      if (!request.complete) dropRest(request, connection, lingerMs);
    } finally {
      ending?.dispose();
      const ms = Math.round((performance.now() - startedMs) * 10) / 10;
      const status = response.headersSent
        ? response.statusCode
        : failure === undefined
          ? 200
          : httpStatusOf(failure);
      requests.inc({ route: route?.name ?? 'none', status: String(status) });
      const line = {
        requestId,
        traceId: trace.traceId,
        method: `${request.method} ${route?.name ?? 'none'}`,
        status,
        ms,
      };
      if (failure?.code === 'internal')
        log.error({ ...line, reason: failure.reason, err: failure.cause ?? failure }, 'call');
      else
        log.info({ ...line, ...(failure && { reason: failure.reason, message: failure.message }) }, 'call');
    }
  }

  return (request: NodeServerRequest, response: NodeServerResponse): void => {
    // A parse boundary: both kinds have what a route uses.
    void serve(request as HttpRequest, response as HttpResponse);
  };
}

/** Only path and query count. What is no URL ("//") is nobody's route. */
function parseUrl(text: string): URL {
  try {
    return new URL(text, 'http://gateway');
  } catch {
    return new URL('http://gateway/-');
  }
}

function refuse(
  request: HttpRequest,
  response: HttpResponse,
  error: MeshError,
  requestId: string,
  matches: readonly Route[],
): void {
  if (response.destroyed || response.closed) return;
  if (response.headersSent) {
    // In the middle of a reply: cutting it is the only way left to say so.
    response.destroy();
    return;
  }
  if (closesConnection(request)) response.setHeader('connection', 'close');
  if (error.reason === 'METHOD_NOT_ALLOWED') {
    response.setHeader(
      'allow',
      matches.map(({ method }) => (method === 'GET' ? 'GET, HEAD' : method)).join(', '),
    );
  }
  sendError(response, error, requestId);
}
