/** The serving end of a framed byte stream: headers, deadline, status. */
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { constants } from 'node:http2';
import { childOf, type Logger, newTrace, parseTraceparent } from '@imagemesh/observe';
import { cancelled, createCallSignal, deadlineIn, parseGrpcTimeout } from './deadline.ts';
import type { MeshError } from './errors.ts';
import { statusTrailers } from './grpc-status.ts';
import { toMeshError } from './mesh-errors.ts';
import { GRPC_TIMEOUT_HEADER, REQUEST_ID_HEADER, requestIdFrom, TRACEPARENT_HEADER } from './metadata.ts';
import type { ServerWireCall } from './wire.ts';
import { StreamReader } from './wire-reader.ts';
import { StreamWriter } from './wire-writer.ts';

/** Takes a raw stream of the server; it owns the stream from then on. */
export type StreamHandler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

/** What became of a call, for metrics. */
export interface WireOutcome {
  readonly path: string;
  readonly error: MeshError | undefined;
  readonly ms: number;
}

export interface WireHandlerOptions {
  /** One line per call at its end; none by default. */
  readonly log?: Logger;
  /** For calls without grpc-timeout; default: no deadline. */
  readonly defaultDeadlineMs?: number;
  readonly onFinish?: (outcome: WireOutcome) => void;
}

/** For a handler that reads or writes after it has ended well. Made once: an error's stack is not free. */
const callIsOver = cancelled();

/** How long a client may take to fetch the last buffered bytes after its deadline has passed. */
const lingerMs = 1000;
/** How often to look whether a slow connection has taken the status. */
const stopPollMs = 10;

/**
 * Serves calls of one method. `serve` resolving means grpc-status 0; a MeshError that it throws becomes grpc-status,
 * grpc-message, grpc-status-details-bin and im-reason, without response headers of their own if nothing was sent yet
 * (trailers-only). The rest of the request is not read then: the stream is reset with NO_ERROR after the status.
 */
export function wireHandler(
  serve: (call: ServerWireCall) => Promise<void>,
  options: WireHandlerOptions = {},
): StreamHandler {
  return (stream, headers) => {
    const startedMs = performance.now();
    // Each error of the stream also closes it, and that is where it is dealt with.
    stream.on('error', () => {});
    const path = String(headers[':path'] ?? '');
    const requestId = requestIdFrom(headers[REQUEST_ID_HEADER]);
    const refusal = refusalOf(headers);
    if (refusal !== undefined) {
      stream.respond({
        ':status': refusal.httpStatus,
        'content-type': 'text/plain',
        [REQUEST_ID_HEADER]: requestId,
        ...(refusal.httpStatus === 405 && { allow: 'POST' }),
      });
      stream.end(`${refusal.text}\n`);
      stopReading(stream);
      return;
    }

    const timeoutMs = parseGrpcTimeout(headers[GRPC_TIMEOUT_HEADER]) ?? options.defaultDeadlineMs;
    const deadline = timeoutMs === undefined ? undefined : deadlineIn(timeoutMs);
    const ending = createCallSignal({ deadline });
    const parentTrace = parseTraceparent(headers[TRACEPARENT_HEADER]);
    const reader = new StreamReader(stream);
    const writer = new StreamWriter(stream, () => respond(stream, call, () => outcome));
    const call: ServerWireCall = {
      path,
      headers,
      connection: stream.session ?? stream,
      signal: ending.signal,
      deadline,
      requestId,
      trace: parentTrace === undefined ? newTrace() : childOf(parentTrace),
      reader,
      writer,
      responseHeaders: {},
      trailers: {},
    };
    /** undefined while running, then the error, or null for OK. */
    let outcome: MeshError | null | undefined;

    const finish = (result: MeshError | null) => {
      if (outcome !== undefined) return;
      outcome = result;
      ending.dispose();
      const stopped = result ?? callIsOver;
      reader.fail(stopped);
      writer.fail(stopped);
      if (!stream.destroyed && !stream.closed) sendStatus(stream, call, reader, result);
      const ms = performance.now() - startedMs;
      options.onFinish?.({ path, error: result ?? undefined, ms });
      logOutcome(options.log, call, result, ms);
    };
    const onLeft = () => {
      if (outcome !== undefined) return;
      const reason = cancelled();
      ending.abort(reason);
      finish(reason);
    };
    // A reset looks like the end of the request to who reads it, so the reader has to hear of it before.
    stream.once('aborted', onLeft);
    stream.once('close', onLeft);
    // The deadline: the caller learns it now, whatever the handler is busy with.
    ending.signal.addEventListener('abort', () => finish(toMeshError(ending.signal.reason)), { once: true });
    if (ending.signal.aborted) {
      finish(toMeshError(ending.signal.reason));
      return;
    }
    run(serve, call).then(
      () => finish(null),
      (error: unknown) => finish(toMeshError(error)),
    );
  };
}

/** A serve that throws at once is no different from one that rejects. */
async function run(serve: (call: ServerWireCall) => Promise<void>, call: ServerWireCall): Promise<void> {
  await serve(call);
}

function refusalOf(headers: IncomingHttpHeaders): { httpStatus: number; text: string } | undefined {
  if (headers[':method'] !== 'POST') return { httpStatus: 405, text: 'gRPC calls are POST' };
  if (!isGrpcContentType(headers['content-type']))
    return { httpStatus: 415, text: 'expected application/grpc' };
  return undefined;
}

/** application/grpc or application/grpc+proto, not gRPC-Web. */
export function isGrpcContentType(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/grpc(\+proto)?\s*(;|$)/i.test(contentType);
}

function respond(
  stream: ServerHttp2Stream,
  { requestId, responseHeaders, trailers }: ServerWireCall,
  outcome: () => MeshError | null | undefined,
): void {
  if (stream.headersSent) return;
  stream.respond(
    {
      ':status': 200,
      'content-type': 'application/grpc',
      'grpc-accept-encoding': 'identity',
      [REQUEST_ID_HEADER]: requestId,
      ...printable(responseHeaders),
    },
    { waitForTrailers: true },
  );
  stream.once('wantTrailers', () => {
    const result = outcome();
    stream.sendTrailers({
      ...printable(trailers),
      ...(result ? statusTrailers(result) : { 'grpc-status': '0' }),
    });
    stopReading(stream);
  });
}

/** A byte that HTTP does not allow in a header would throw where nobody catches. */
function printable(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, value.replace(/[^\x20-\x7e]/g, '?')]),
  );
}

function sendStatus(
  stream: ServerHttp2Stream,
  call: ServerWireCall,
  reader: StreamReader,
  result: MeshError | null,
): void {
  if (result !== null && !stream.headersSent) {
    stream.respond(
      {
        ':status': 200,
        'content-type': 'application/grpc',
        [REQUEST_ID_HEADER]: call.requestId,
        ...printable(call.trailers),
        ...statusTrailers(result),
      },
      { endStream: true },
    );
    stopReading(stream);
  } else {
    respond(stream, call, () => result);
    stream.end();
  }
  reader.discard();
  if (result !== null) {
    const linger = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), lingerMs).unref();
    stream.once('close', () => clearTimeout(linger));
  }
}

/**
 * Tells a client that is still sending that nobody reads any more, without an error: it has its answer. Only once the
 * answer is on the wire: nghttp2 drops what is queued for a stream that is being reset.
 */
export function stopReading(stream: ServerHttp2Stream): void {
  if (stream.readableEnded || stream.endAfterHeaders) return;
  const check = () => {
    if (stream.destroyed || stream.readableEnded) return;
    if (!stream.closed && stream.state.localClose !== 1) {
      setTimeout(check, stopPollMs);
      return;
    }
    if (!stream.closed) stream.close(constants.NGHTTP2_NO_ERROR);
    // A stream with bytes that nobody reads would wait for their reader for ever.
    setImmediate(() => stream.destroy());
  };
  setImmediate(check);
}

function logOutcome(
  log: Logger | undefined,
  call: ServerWireCall,
  result: MeshError | null,
  ms: number,
): void {
  if (log === undefined) return;
  const line = {
    requestId: call.requestId,
    traceId: call.trace.traceId,
    method: call.path,
    code: result?.code ?? 'ok',
    ms: Math.round(ms * 10) / 10,
    ...(result !== null && { reason: result.reason, message: result.message }),
  };
  if (result?.code === 'internal') log.error({ ...line, err: result.cause ?? result }, 'call');
  else log.info(line, 'call');
}
