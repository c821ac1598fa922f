/**
 * Connect refuses some requests before any interceptor sees them (unreadable protobuf, a message that is too large, a
 * content type that it does not know), and then without details, sometimes as INTERNAL, sometimes with an empty body.
 * This gives such replies the error that the mesh has for them, in the form of each protocol.
 */
import { type Code, ConnectError } from '@connectrpc/connect';
import type { UniversalServerResponse } from '@connectrpc/connect/protocol';
import { codeFromString, endStreamFlag, errorToJsonBytes } from '@connectrpc/connect/protocol-connect';
import { trailerFlag, trailerParse, trailerSerialize } from '@connectrpc/connect/protocol-grpc-web';
import { fromConnectError, toConnectError } from './connect-errors.ts';
import { ERROR_CODES, MeshError } from './errors.ts';
import { decodeGrpcMessage, encodeGrpcMessage, statusTrailers } from './grpc-status.ts';
import { IM_REASON } from './metadata.ts';

interface EarlyErrorOptions {
  /** Whether the request is of gRPC or gRPC-Web, which know no errors in JSON. */
  readonly isGrpc: boolean;
  /** Learns of an error that was rebuilt here. */
  readonly onRefused: (error: MeshError) => void;
  /** Asked once the error is there: true where it is the handler's, so as it is meant to be, even without details. */
  readonly isHandlers: () => boolean;
}

/** The reply, with errors that lack details rebuilt; others pass unchanged. */
export async function withMeshErrors(
  reply: UniversalServerResponse,
  options: EarlyErrorOptions,
): Promise<UniversalServerResponse> {
  const { body, trailer } = reply;
  if (body === undefined) return reply.status >= 400 ? withBody(reply, options) : reply;
  if (body instanceof Uint8Array) return reply;
  const contentType = reply.header?.get('content-type') ?? '';
  if (contentType.startsWith('application/grpc-web'))
    return { ...reply, body: fixWebTrailers(body, options) };
  if (contentType.startsWith('application/connect+')) return { ...reply, body: fixEndStream(body, options) };
  if (contentType.startsWith('application/grpc') && trailer !== undefined)
    return { ...reply, body: thenFixTrailers(body, trailer, options) };
  if (reply.status >= 400 && contentType === 'application/json') return fixJson(reply, body, options);
  return reply;
}

type Body = AsyncIterable<Uint8Array>;

async function* thenFixTrailers(body: Body, trailers: Headers, options: EarlyErrorOptions): Body {
  yield* body;
  fixTrailers(trailers, options);
}

/** Whether there was something to mend. */
function fixTrailers(trailers: Headers, options: EarlyErrorOptions): boolean {
  const code = Number(trailers.get('grpc-status') ?? '0');
  if (code === 0) return false;
  const message = decodeGrpcMessage(trailers.get('grpc-message') ?? '');
  if (options.isHandlers() || trailers.has('grpc-status-details-bin')) {
    // Connect escapes more than gRPC does, and some clients undo only what gRPC does.
    trailers.set('grpc-message', encodeGrpcMessage(message));
    return true;
  }
  // A gRPC status of an error is a Connect code.
  const error = fromConnectError(new ConnectError(message, code as Code));
  for (const [name, value] of Object.entries(statusTrailers(error))) trailers.set(name, value);
  options.onRefused(error);
  return true;
}

/** gRPC-Web has its trailers in the last envelope of the body. */
async function* fixWebTrailers(body: Body, options: EarlyErrorOptions): Body {
  for await (const part of body) {
    const last = envelopeOf(part, trailerFlag);
    const trailers = last && trailerParse(last);
    const isMended = trailers !== undefined && fixTrailers(trailers, options);
    yield isMended ? envelope(trailerFlag, trailerSerialize(trailers)) : part;
  }
}

/** Streams of Connect end with an envelope of JSON that has the error in it. */
async function* fixEndStream(body: Body, options: EarlyErrorOptions): Body {
  for await (const part of body) {
    const last = envelopeOf(part, endStreamFlag);
    yield (last && mendedEndStream(last, options)) ?? part;
  }
}

function mendedEndStream(json: Uint8Array, options: EarlyErrorOptions): Uint8Array | undefined {
  const end = parseObject(json);
  const error = end !== undefined && 'error' in end ? errorIn(end.error) : undefined;
  if (error === undefined || options.isHandlers()) return undefined;
  options.onRefused(error);
  const mended: unknown = JSON.parse(Buffer.from(jsonOf(error)).toString());
  return envelope(endStreamFlag, Buffer.from(JSON.stringify({ ...end, error: mended })));
}

async function fixJson(
  reply: UniversalServerResponse,
  body: Body,
  options: EarlyErrorOptions,
): Promise<UniversalServerResponse> {
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  const bytes = Buffer.concat(parts);
  const error = errorIn(parseObject(bytes));
  if (error === undefined || options.isHandlers()) return { ...reply, body: once(bytes) };
  options.onRefused(error);
  return asJson(reply, error, ERROR_CODES[error.code].http);
}

const httpRefusals: Readonly<Record<number, () => MeshError>> = {
  405: () => new MeshError('METHOD_NOT_ALLOWED', 'this method is not called by that HTTP method'),
  415: () => new MeshError('INVALID_REQUEST', 'this content type is not served here'),
  505: () => new MeshError('NOT_IMPLEMENTED', 'a stream both ways needs HTTP/2'),
};

/** A refusal by HTTP status alone; the status stays, as clients and proxies know it. */
function withBody(reply: UniversalServerResponse, options: EarlyErrorOptions): UniversalServerResponse {
  const error =
    httpRefusals[reply.status]?.() ?? new MeshError('INVALID_REQUEST', 'the request cannot be served');
  options.onRefused(error);
  return options.isGrpc ? asText(reply, error) : asJson(reply, error, reply.status);
}

function asText(reply: UniversalServerResponse, { message, reason }: MeshError): UniversalServerResponse {
  const header = new Headers(reply.header);
  header.set(IM_REASON, reason);
  const bytes = Buffer.from(`${message}\n`);
  return withContent({ ...reply, header }, reply.status, 'text/plain; charset=utf-8', bytes);
}

function asJson(reply: UniversalServerResponse, error: MeshError, status: number): UniversalServerResponse {
  return withContent(reply, status, 'application/json', jsonOf(error));
}

function withContent(
  reply: UniversalServerResponse,
  status: number,
  contentType: string,
  bytes: Uint8Array,
): UniversalServerResponse {
  const header = new Headers(reply.header);
  header.set('content-type', contentType);
  header.set('content-length', String(bytes.byteLength));
  return { ...reply, status, header, body: once(bytes) };
}

function jsonOf(error: MeshError): Uint8Array {
  return errorToJsonBytes(toConnectError(error), undefined);
}

/** The error of the mesh for an error of Connect in JSON that has no details; undefined for anything else. */
function errorIn(json: unknown): MeshError | undefined {
  if (typeof json !== 'object' || json === null || 'details' in json || !('code' in json)) return undefined;
  const code = typeof json.code === 'string' ? codeFromString(json.code) : undefined;
  if (code === undefined) return undefined;
  const message = 'message' in json && typeof json.message === 'string' ? json.message : '';
  return fromConnectError(new ConnectError(message, code));
}

function parseObject(bytes: Uint8Array): object | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(bytes).toString());
    return typeof parsed === 'object' && parsed !== null ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/** What is in a part that is one whole envelope with that flag. Connect yields an envelope at a time. */
function envelopeOf(part: Uint8Array, flag: number): Uint8Array | undefined {
  const bytes = Buffer.from(part.buffer, part.byteOffset, part.byteLength);
  const isWhole =
    bytes.byteLength >= 5 && bytes[0] === flag && bytes.readUInt32BE(1) === bytes.byteLength - 5;
  return isWhole ? bytes.subarray(5) : undefined;
}

function envelope(flag: number, data: Uint8Array): Uint8Array {
  const out = Buffer.allocUnsafe(5 + data.byteLength);
  out[0] = flag;
  out.writeUInt32BE(data.byteLength, 1);
  out.set(data, 5);
  return out;
}

async function* once(bytes: Uint8Array): Body {
  yield bytes;
}
