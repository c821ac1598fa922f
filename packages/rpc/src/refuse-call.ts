/**
 * Answers an RPC that is refused by its headers alone, in the form its protocol has for errors, so that nothing of its body
 * is read: https://connectrpc.com/docs/protocol, https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { encodeEnvelope } from '@connectrpc/connect/protocol';
import { endStreamToJson, errorToJsonBytes } from '@connectrpc/connect/protocol-connect';
import { toConnectError } from './connect-errors.ts';
import type { NodeServerRequest, NodeServerResponse } from './connect-handler.ts';
import { ERROR_CODES, type MeshError } from './errors.ts';
import { statusTrailers } from './grpc-status.ts';
import { IM_REASON, REQUEST_ID_HEADER } from './metadata.ts';

/** How long a client that is refused may go on sending before its connection, or its stream, is cut. */
const lingerMs = 2000;
/** A body of at most that is read and dropped after a refusal, and the connection stays. */
const maxReadBytes = 64 * 1024;
const endStreamFlag = 2;

/**
 * The refusal, with im-reason and x-request-id beside it; what the client still sends is dropped. `httpStatus`: of a unary call
 * of Connect; default the one of the error's code.
 */
export function refuseCall(
  request: NodeServerRequest,
  response: NodeServerResponse,
  error: MeshError,
  requestId: string,
  httpStatus: number = ERROR_CODES[error.code].http,
): void {
  if (response.destroyed || response.headersSent) return;
  const isHttp1 = request.httpVersionMajor === 1;
  const { status, headers, body } = refusalOf(request.headers['content-type'] ?? '', error, httpStatus);
  response.writeHead(status, {
    ...headers,
    [IM_REASON]: error.reason,
    [REQUEST_ID_HEADER]: requestId,
    ...(closesConnection(request) && { connection: 'close' }),
  });
  // Both kinds of response have end(bytes); Connect's type of them leaves it out.
  (response as ServerResponse).end(body);
  if (!request.complete) dropRest(request as IncomingMessage, isHttp1 ? request.socket : response);
}

/** Whether a refusal ends the connection: over HTTP/1 more of the request is to come than is worth reading, or can be read. */
export function closesConnection(request: RefusedRequest): boolean {
  if (request.httpVersionMajor !== 1 || request.complete) return false;
  const { 'transfer-encoding': coding, 'content-length': length = 0 } = request.headers;
  return request.destroyed || coding !== undefined || !(Number(length) <= maxReadBytes);
}

type RefusedRequest = Pick<NodeServerRequest, 'httpVersionMajor' | 'complete' | 'destroyed' | 'headers'>;

interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

function refusalOf(contentType: string, error: MeshError, httpStatus: number): Refusal {
  const nothing = new Uint8Array(0);
  // Trailers-only, which gRPC-Web has too.
  if (contentType.startsWith('application/grpc')) {
    const headers = { 'content-type': contentType.slice(0, 100), ...statusTrailers(error) };
    return { status: 200, headers, body: nothing };
  }
  const connectError = toConnectError(error);
  if (contentType.startsWith('application/connect+')) {
    const end = JSON.stringify(endStreamToJson(new Headers(), connectError, undefined));
    const body = encodeEnvelope(endStreamFlag, Buffer.from(end));
    return { status: 200, headers: { 'content-type': contentType.slice(0, 100) }, body };
  }
  const body = errorToJsonBytes(connectError, undefined);
  return {
    status: httpStatus,
    headers: {
      'content-type': 'application/json',
      'content-length': String(body.byteLength),
      ...challengeHeaders(error),
      ...retryHeaders(error),
    },
    body,
  };
}

/** WWW-Authenticate of a 401 or 403 (RFC 6750, 3). */
export function challengeHeaders({ code, reason }: MeshError): Readonly<Record<string, string>> {
  if (reason === 'SCOPE_MISSING')
    return { 'www-authenticate': 'Bearer realm="imagemesh", error="insufficient_scope"' };
  if (code !== 'unauthenticated') return {};
  const error = reason === 'API_KEY_MISSING' ? '' : ', error="invalid_token"';
  return { 'www-authenticate': `Bearer realm="imagemesh"${error}` };
}

/** Retry-After, in whole seconds. */
export function retryHeaders({ retryAfterMs }: MeshError): Readonly<Record<string, string>> {
  return retryAfterMs === undefined ? {} : { 'retry-after': String(Math.ceil(retryAfterMs / 1000)) };
}

/** What is cut when a client does not stop: the socket of HTTP/1, the one stream of HTTP/2. */
interface Cuttable {
  readonly destroyed: boolean;
  destroy(): unknown;
  once(event: 'close', listener: () => void): unknown;
}

/** Drops what still comes; a client that reads its answer only after sending gets a while for that. */
export function dropRest(
  request: { resume(): unknown; once(event: 'close', listener: () => void): unknown },
  connection: Cuttable,
  withinMs: number = lingerMs,
): void {
  if (connection.destroyed) return;
  request.resume();
  const timer = setTimeout(() => connection.destroy(), withinMs);
  timer.unref();
  const stop = () => clearTimeout(timer);
  connection.once('close', stop);
  request.once('close', stop);
}
