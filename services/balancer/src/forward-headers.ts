/** Headers from one hop to the next. Pure. */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import { formatTraceparent } from '@imagemesh/observe';
import {
  formatGrpcTimeout,
  GRPC_TIMEOUT_HEADER,
  IM_BALANCER,
  REQUEST_ID_HEADER,
  remainingMs,
  TRACEPARENT_HEADER,
} from '@imagemesh/rpc';
import type { CallInfo } from './call-info.ts';

/** They belong to one connection (RFC 9110 §7.6.1) or one message length, not to the call. */
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** The call's headers for a replica: the time left, the balancer's span, the rest as it came. */
export function requestHeaders(
  incoming: IncomingHttpHeaders,
  call: CallInfo,
  { address, balancerId }: { readonly address: string; readonly balancerId: string },
  nowMs: number,
): OutgoingHttpHeaders {
  const headers = passedOn(incoming);
  headers[':method'] = 'POST';
  headers[':scheme'] = 'http';
  headers[':authority'] = address;
  headers[':path'] = call.path;
  headers.te = 'trailers';
  headers[GRPC_TIMEOUT_HEADER] = formatGrpcTimeout(remainingMs(call.deadline, nowMs));
  headers[IM_BALANCER] = balancerId;
  headers[REQUEST_ID_HEADER] = call.requestId;
  headers[TRACEPARENT_HEADER] = formatTraceparent(call.trace);
  return headers;
}

/** The replica's response headers for the caller. */
export function responseHeaders(incoming: IncomingHttpHeaders): OutgoingHttpHeaders {
  const headers = passedOn(incoming);
  headers[':status'] = incoming[':status'];
  return headers;
}

/** The replica's trailers for the caller. */
export function passedOn(incoming: IncomingHttpHeaders): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  for (const name in incoming) {
    if (name.charCodeAt(0) !== colon && !hopByHop.has(name)) headers[name] = incoming[name];
  }
  return headers;
}

/** Pseudo-headers begin with it. */
const colon = 58;
