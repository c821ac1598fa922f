/** The calling end of a framed byte stream. */
import { constants, type IncomingHttpHeaders } from 'node:http2';
import { cancelled, createCallSignal, type Deadline, formatGrpcTimeout, remainingMs } from './deadline.ts';
import { MeshError } from './errors.ts';
import { errorFromTrailers } from './grpc-status.ts';
import { toMeshError } from './mesh-errors.ts';
import { GRPC_TIMEOUT_HEADER } from './metadata.ts';
import type { SessionPool } from './sessions.ts';
import type { ClientWireCall } from './wire.ts';
import { StreamReader } from './wire-reader.ts';
import { StreamWriter } from './wire-writer.ts';

export interface WireCallOptions {
  /** "/imagemesh.v1.ResizeService/Resize". */
  readonly path: string;
  /** Request headers besides gRPC's own. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly deadline?: Deadline | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Starts a call. Throws MeshError at once if it is over before it began, or the pool is full or closed. */
export function openWireCall(
  pool: SessionPool,
  { path, metadata, deadline, signal }: WireCallOptions,
): ClientWireCall {
  const ending = createCallSignal({ deadline, parent: signal });
  if (ending.signal.aborted) throw toMeshError(ending.signal.reason);
  const stream = openStream();
  const reader = new StreamReader(stream, { isReply: true });
  const writer = new StreamWriter(stream, () => {});
  const response = deferred<IncomingHttpHeaders>();
  const status = deferred<{ trailers: IncomingHttpHeaders }>();
  // Not every caller wants both.
  response.promise.catch(() => {});
  status.promise.catch(() => {});
  let isSettled = false;
  let hasBegun = false;
  let isLost = false;
  let streamError: unknown;

  const settle = (error: MeshError | undefined, trailers: IncomingHttpHeaders) => {
    if (isSettled) return;
    isSettled = true;
    if (error === undefined) {
      writer.stop();
      reader.confirmEnd();
      status.resolve({ trailers });
      if (!stream.writableEnded && !stream.destroyed) stream.end();
      return;
    }
    response.reject(error);
    status.reject(error);
    reader.fail(error);
    writer.fail(error);
    reader.discard();
    // A server that has answered resets what it does not read; if it has not by now, we do.
    setImmediate(() =>
      pool.reset(stream, hasBegun && !isLost ? constants.NGHTTP2_NO_ERROR : constants.NGHTTP2_CANCEL),
    );
  };
  const cancel = (reason?: Error) => {
    const error = reason === undefined ? cancelled() : toMeshError(reason);
    if (isSettled) {
      // All of it has come, but nobody will read the rest.
      reader.fail(error);
      reader.discard();
      return;
    }
    pool.reset(stream);
    settle(error, {});
  };
  const lose = () => {
    if (isSettled) return;
    isLost = true;
    settle(pool.wasConnected(stream) ? pool.lost(streamError) : pool.unreachable(streamError), {});
  };

  stream.on('response', (headers) => {
    hasBegun = true;
    const error = refusalOf(headers);
    if (error !== undefined) settle(error, headers);
    else {
      response.resolve(headers);
      reader.open();
      if (headers['grpc-status'] !== undefined) settle(undefined, headers);
    }
  });
  stream.on('trailers', (trailers) => settle(errorFromTrailers(trailers), trailers));
  stream.on('error', (error) => {
    streamError = error;
  });
  stream.on('end', () => {
    // The trailers came before, if they came at all; a reply without them is cut off.
    if (!isSettled) setImmediate(lose);
  });
  stream.on('close', () => {
    ending.dispose();
    lose();
  });
  ending.signal.addEventListener('abort', () => cancel(toMeshError(ending.signal.reason)), { once: true });

  return {
    writer,
    end: () => {
      if (!stream.writableEnded && !stream.destroyed) stream.end();
    },
    reader,
    response: response.promise,
    status: status.promise,
    cancel,
    get hasBegun() {
      return hasBegun;
    },
    get isLost() {
      return isLost;
    },
  };

  function openStream() {
    try {
      return pool.request({
        ...metadata,
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
        'user-agent': 'imagemesh',
        ...(deadline !== undefined && { [GRPC_TIMEOUT_HEADER]: formatGrpcTimeout(remainingMs(deadline)) }),
      });
    } catch (error) {
      ending.dispose();
      throw error instanceof MeshError ? error : pool.unreachable(error);
    }
  }
}

interface Deferred<Value> {
  readonly promise: Promise<Value>;
  resolve(value: Value): void;
  reject(error: MeshError): void;
}

function deferred<Value>(): Deferred<Value> {
  let resolve: (value: Value) => void = () => {};
  let reject: (error: MeshError) => void = () => {};
  const promise = new Promise<Value>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  return { promise, resolve, reject };
}

/** What headers of a reply say against it: an HTTP error, not gRPC, or a status at once (trailers-only). */
function refusalOf(headers: IncomingHttpHeaders): MeshError | undefined {
  if (headers['grpc-status'] !== undefined) return errorFromTrailers(headers);
  const httpStatus = Number(headers[':status']);
  const contentType = headers['content-type'];
  if (httpStatus === 200 && contentType?.startsWith('application/grpc') === true) return undefined;
  const cause = new Error(`HTTP ${httpStatus}, content-type ${contentType}`);
  if (httpStatus === 429 || httpStatus === 502 || httpStatus === 503 || httpStatus === 504) {
    return new MeshError('REPLICA_LOST', `the server answered HTTP ${httpStatus}`, { cause });
  }
  return new MeshError('INTERNAL', 'an inner service answered something that is not gRPC', { cause });
}
