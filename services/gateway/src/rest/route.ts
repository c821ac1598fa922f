/** What a REST route is, and how its answers look. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  challengeHeaders,
  ERROR_CODES,
  type ErrorReason,
  type MeshError,
  REQUEST_ID_HEADER,
  retryHeaders,
} from '@imagemesh/rpc';
import type { IncomingCall } from '../call.ts';
import type { Access } from '../identity/method-access.ts';

/** Request and response of HTTP/1; HTTP/2's have all that is used of them here. */
export type HttpRequest = IncomingMessage;
export type HttpResponse = ServerResponse;

export interface RestCall extends IncomingCall {
  readonly request: HttpRequest;
  readonly response: HttpResponse;
  readonly url: URL;
  /** What the path's pattern captured. */
  readonly params: readonly string[];
}

export interface Route {
  readonly method: 'GET' | 'POST';
  /** Matches the whole path. */
  readonly pattern: RegExp;
  /** Short name for logs and metrics. */
  readonly name: string;
  /** What it asks of a caller's key. */
  readonly access: Access;
  /** Answers, or throws a MeshError. */
  readonly serve: (call: RestCall) => Promise<void>;
}

/** HTTP says more than gRPC's code for these. */
const statusOf: Partial<Record<ErrorReason, number>> = {
  BODY_TOO_LARGE: 413,
  TOO_MANY_PIXELS: 413,
  OUTPUT_TOO_LARGE: 413,
  RESULT_TOO_LARGE: 413,
  UNSUPPORTED_FORMAT: 415,
  NOT_AN_IMAGE: 415,
  STORE_FULL: 507,
  OVERLOADED: 503,
  METHOD_NOT_ALLOWED: 405,
};

export function httpStatusOf({ reason, code }: MeshError): number {
  return statusOf[reason] ?? ERROR_CODES[code].http;
}

export function sendJson(
  response: HttpResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(text)),
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
    ...headers,
  });
  response.end(text);
}

/** The error as JSON: `{ error: { code, reason, message, details } }`. */
export function sendError(
  response: HttpResponse,
  error: MeshError,
  requestId: string,
  status = httpStatusOf(error),
): void {
  const { code, reason, message, violations, metadata } = error;
  const details = {
    ...(violations.length > 0 && { violations }),
    ...(Object.keys(metadata).length > 0 && { metadata }),
  };
  const body = {
    code,
    reason,
    message,
    request_id: requestId,
    ...(Object.keys(details).length > 0 && { details }),
  };
  sendJson(response, status, { error: body }, { ...challengeHeaders(error), ...retryHeaders(error) });
}

/** Sets the id that every reply carries. */
export function setRequestId(response: HttpResponse, requestId: string): void {
  response.setHeader(REQUEST_ID_HEADER, requestId);
}
