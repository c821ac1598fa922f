/** What every Connect call goes through: ids, a deadline, validation, errors, a log line. */
import {
  type ConnectError,
  type ContextKey,
  type ContextValues,
  createContextKey,
  type HandlerContext,
  type Interceptor,
  type StreamRequest,
  type StreamResponse,
  type UnaryRequest,
} from '@connectrpc/connect';
import {
  childOf,
  type Logger,
  type Metrics,
  newTrace,
  parseTraceparent,
  type TraceContext,
} from '@imagemesh/observe';
import { toConnectError } from './connect-errors.ts';
import { cancelled, createCallSignal, type Deadline, deadlineIn, parseGrpcTimeout } from './deadline.ts';
import type { MeshError } from './errors.ts';
import { toMeshError } from './mesh-errors.ts';
import { IM_REASON, REQUEST_ID_HEADER, requestIdFrom, TRACEPARENT_HEADER } from './metadata.ts';
import { validateMessage } from './validate.ts';

export interface StandardInterceptorOptions {
  /** One line per call at its end; none by default. */
  readonly log?: Logger;
  /** For unary calls that set no timeout. Default: none. */
  readonly defaultDeadlineMs?: number;
  /** Paths of methods that are called all the time: logged at debug, as probes are, unless they fail. */
  readonly polled?: readonly string[];
  /** Gets imagemesh_rpc_calls_total and imagemesh_rpc_seconds, by method and code. */
  readonly metrics?: Metrics;
}

/** What a handler knows of its call. */
export interface CallInfo {
  readonly requestId: string;
  readonly trace: TraceContext;
  readonly deadline: Deadline | undefined;
  readonly signal: AbortSignal;
}

const infoKey: ContextKey<Omit<CallInfo, 'signal'> | undefined> = createContextKey(undefined, {
  description: 'imagemesh call info',
});

/** Ids and deadline of the call that a handler serves. */
export function callInfo(context: HandlerContext): CallInfo {
  const info = context.values.get(infoKey);
  if (info === undefined) throw new Error('callInfo needs standardInterceptors on the server');
  return { ...info, signal: context.signal };
}

/** Whether a call has come as far as the interceptors, which log how it ends. */
export function isIntercepted(values: ContextValues): boolean {
  return values.get(infoKey) !== undefined;
}

const failedKey: ContextKey<boolean> = createContextKey(false, { description: 'imagemesh call failed' });

/** Whether the error that a call ends with has come through the interceptors, which give it its details. */
export function hasFailed(values: ContextValues): boolean {
  return values.get(failedKey);
}

type Finish = (error: MeshError | undefined) => void;

/** For createRpcHandler. A call's errors leave as errors of the mesh, with im-reason beside them. */
export function standardInterceptors(options: StandardInterceptorOptions = {}): readonly Interceptor[] {
  const recordCall = createRecorder(options);
  const intercept: Interceptor = (next) => async (request) => {
    const startedMs = performance.now();
    const requestId = requestIdFrom(request.header.get(REQUEST_ID_HEADER));
    const parent = parseTraceparent(request.header.get(TRACEPARENT_HEADER));
    const trace = parent === undefined ? newTrace() : childOf(parent);
    const timeoutMs = timeoutOf(request.header) ?? (request.stream ? undefined : options.defaultDeadlineMs);
    const deadline = timeoutMs === undefined ? undefined : deadlineIn(timeoutMs);
    request.contextValues.set(infoKey, { requestId, trace, deadline });
    const ending = createCallSignal({ deadline, parent: request.signal });
    const finish: Finish = (error) => {
      ending.dispose();
      if (error !== undefined) request.contextValues.set(failedKey, true);
      recordCall({ method: methodPath(request), requestId, trace, error, ms: performance.now() - startedMs });
    };
    try {
      if (request.stream) {
        const message = checked(request.method.input, request.message, ending.signal);
        const response = await next({ ...request, message, signal: ending.signal });
        if (!response.stream) return response;
        return { ...response, message: relayed(response, finish, ending.signal) };
      }
      validateMessage(request.method.input, request.message);
      const response = await orAborted(next({ ...request, signal: ending.signal }), ending.signal);
      finish(undefined);
      return response;
    } catch (error) {
      const known = toMeshError(error);
      finish(known);
      throw withReason(known);
    }
  };
  return [intercept];
}

function methodPath({ method }: Pick<UnaryRequest | StreamRequest, 'method'>): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function timeoutOf(header: Headers): number | undefined {
  const connectMs = header.get('connect-timeout-ms');
  if (connectMs !== null && /^\d{1,10}$/.test(connectMs)) return Number(connectMs);
  return parseGrpcTimeout(header.get('grpc-timeout'));
}

/** The messages, each held to its rules. Whoever waits for the next one learns of the end of the call. */
async function* checked<Desc extends Parameters<typeof validateMessage>[0]>(
  schema: Desc,
  messages: AsyncIterable<Parameters<typeof validateMessage<Desc>>[1]>,
  signal: AbortSignal,
): AsyncIterable<Parameters<typeof validateMessage<Desc>>[1]> {
  const iterator = messages[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await orAborted(iterator.next(), signal);
      if (next.done === true) return;
      validateMessage(schema, next.value);
      yield next.value;
    }
  } finally {
    // Not waited for: it waits for the message that did not come.
    void iterator.return?.();
  }
}

async function* relayed(
  response: StreamResponse,
  finish: Finish,
  signal: AbortSignal,
): StreamResponse['message'] {
  let isOver = false;
  try {
    yield* response.message;
    // A handler may just stop when its time is over: that is no good end.
    signal.throwIfAborted();
    isOver = true;
    finish(undefined);
  } catch (error) {
    const known = toMeshError(error);
    isOver = true;
    finish(known);
    throw withReason(known);
  } finally {
    // The client left between two messages.
    if (!isOver) finish(cancelled());
  }
}

/** A handler that does not look at its signal still ends for its caller. */
function orAborted<Value>(running: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    running.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function withReason(error: MeshError): ConnectError {
  const out = toConnectError(error);
  out.metadata.set(IM_REASON, error.reason);
  return out;
}

interface CallRecord {
  readonly method: string;
  readonly requestId: string;
  readonly trace: TraceContext;
  readonly error: MeshError | undefined;
  readonly ms: number;
}

function createRecorder({
  log,
  metrics,
  polled = [],
}: StandardInterceptorOptions): (call: CallRecord) => void {
  const labelNames = ['method', 'code'] as const;
  const calls = metrics?.counter({
    name: 'imagemesh_rpc_calls_total',
    help: 'Calls that ended.',
    labelNames,
  });
  const seconds = metrics?.histogram({
    name: 'imagemesh_rpc_seconds',
    help: 'Duration of calls.',
    labelNames,
  });
  return ({ method, requestId, trace, error, ms }) => {
    const code = error?.code ?? 'ok';
    calls?.inc({ method, code });
    seconds?.observe({ method, code }, ms / 1000);
    if (log === undefined) return;
    const line = {
      requestId,
      traceId: trace.traceId,
      method,
      code,
      ms: Math.round(ms * 10) / 10,
      ...(error !== undefined && { reason: error.reason, message: error.message }),
    };
    if (error?.code === 'internal') log.error({ ...line, err: error.cause ?? error }, 'call');
    // Probes, reflection and polling would drown the rest.
    else if (method.startsWith('/grpc.') || (error === undefined && polled.includes(method)))
      log.debug(line, 'call');
    else log.info(line, 'call');
  };
}
