/** Answers what is no proper HTTP/1 request, for which there is no request object: 400, 408 or 431 as JSON. */
import type { Socket } from 'node:net';
import { type ErrorReason, newRequestId, REQUEST_ID_HEADER } from '@imagemesh/rpc';

interface Refusal {
  readonly status: string;
  readonly code: string;
  readonly reason: ErrorReason;
  readonly message: string;
}

const badRequest: Refusal = {
  status: '400 Bad Request',
  code: 'invalid_argument',
  reason: 'INVALID_REQUEST',
  message: 'this is not a proper HTTP request',
};

const refusals: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: {
    ...badRequest,
    status: '431 Request Header Fields Too Large',
    message: 'the headers, or the address, are over 16 KiB',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: '408 Request Timeout',
    code: 'deadline_exceeded',
    reason: 'DEADLINE_EXCEEDED',
    message: 'the request took too long to arrive',
  },
};

/** Writes the refusal and closes; only closes where the request has its reply, or nobody listens. */
export function refuseBadHttp(
  error: Error & { readonly code?: string },
  socket: Socket,
  hasReply: boolean,
): void {
  if (hasReply || !socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const { status, code, reason, message } = refusals[error.code ?? ''] ?? badRequest;
  const requestId = newRequestId();
  const body = `${JSON.stringify({ error: { code, reason, message, request_id: requestId } })}\n`;
  socket.end(
    [
      `HTTP/1.1 ${status}`,
      'content-type: application/json; charset=utf-8',
      `content-length: ${Buffer.byteLength(body)}`,
      `${REQUEST_ID_HEADER}: ${requestId}`,
      'connection: close',
      '',
      body,
    ].join('\r\n'),
    // What was sent and not read would else turn the end into a reset.
    () => socket.destroy(),
  );
}
