/**
 * Connect refuses some requests before any interceptor sees them (unreadable protobuf, a message that is too large), and
 * then without details, sometimes as INTERNAL. This gives such replies the error that the mesh has for them.
 */
import { type Code, ConnectError } from '@connectrpc/connect';
import type { UniversalServerResponse } from '@connectrpc/connect/protocol';
import { codeFromString, errorToJsonBytes } from '@connectrpc/connect/protocol-connect';
import { fromConnectError, toConnectError } from './connect-errors.ts';
import { ERROR_CODES } from './errors.ts';
import { decodeGrpcMessage, statusTrailers } from './grpc-status.ts';

/** The reply, with errors that lack details rebuilt; others pass unchanged. */
export async function withMeshErrors(reply: UniversalServerResponse): Promise<UniversalServerResponse> {
  const contentType = reply.header?.get('content-type') ?? '';
  if (reply.body === undefined || reply.body instanceof Uint8Array) return reply;
  if (
    contentType.startsWith('application/grpc') &&
    !contentType.startsWith('application/grpc-web') &&
    reply.trailer
  ) {
    return { ...reply, body: thenFixTrailers(reply.body, reply.trailer) };
  }
  if (reply.status >= 400 && contentType === 'application/json') return fixJson(reply, reply.body);
  return reply;
}

async function* thenFixTrailers(
  body: AsyncIterable<Uint8Array>,
  trailers: Headers,
): AsyncIterable<Uint8Array> {
  yield* body;
  const code = Number(trailers.get('grpc-status') ?? '0');
  if (code === 0 || trailers.has('grpc-status-details-bin')) return;
  const message = decodeGrpcMessage(trailers.get('grpc-message') ?? '');
  // A gRPC status of an error is a Connect code.
  const error = fromConnectError(new ConnectError(message, code as Code));
  for (const [name, value] of Object.entries(statusTrailers(error))) trailers.set(name, value);
}

async function fixJson(
  reply: UniversalServerResponse,
  body: AsyncIterable<Uint8Array>,
): Promise<UniversalServerResponse> {
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  const bytes = Buffer.concat(parts);
  const fixed = rebuilt(bytes) ?? bytes;
  const header = new Headers(reply.header);
  header.set('content-length', String(fixed.byteLength));
  return { ...reply, header, body: once(fixed) };
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

function rebuilt(bytes: Buffer): Uint8Array | undefined {
  try {
    const parsed: unknown = JSON.parse(bytes.toString());
    if (typeof parsed !== 'object' || parsed === null || 'details' in parsed || !('code' in parsed))
      return undefined;
    const code = typeof parsed.code === 'string' ? codeFromString(parsed.code) : undefined;
    if (code === undefined) return undefined;
    const message = 'message' in parsed && typeof parsed.message === 'string' ? parsed.message : '';
    const error = fromConnectError(new ConnectError(message, code));
    // The HTTP status is sent already; only an error of the same code fits it.
    if (ERROR_CODES[error.code].grpc !== code) return undefined;
    return errorToJsonBytes(toConnectError(error), undefined);
  } catch {
    return undefined;
  }
}
