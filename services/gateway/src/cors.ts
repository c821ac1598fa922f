/** Which pages of other origins may call the API (https://fetch.spec.whatwg.org/#http-cors-protocol). */

import type { ServerResponse } from 'node:http';
import { cors, type NodeServerRequest, type NodeServerResponse } from '@imagemesh/rpc';

const ownRequestHeaders = ['Authorization', 'X-Api-Key', 'Traceparent', 'X-Request-Id', 'Idempotency-Key'];
const ownReplyHeaders = [
  'X-Request-Id',
  'Im-Reason',
  'Retry-After',
  'Location',
  'ETag',
  'Content-Range',
  'WWW-Authenticate',
];
const maxAgeSeconds = 7200;

/**
 * Sets the headers that let a page read the reply; true if the request was a preflight and is answered. Without
 * allowed origins nothing is set, and browsers let only the gateway's own page call. Credentials of the browser (cookies)
 * are never allowed, as the gateway knows none: keys are sent by scripts, in a header. So "*" gives nobody's rights away.
 */
export function createCors(origins: readonly string[]) {
  return (request: NodeServerRequest, response: NodeServerResponse): boolean => {
    const { origin } = request.headers;
    const isPreflight =
      request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined;
    if (origins.length > 0) response.setHeader('vary', 'Origin');
    const isAllowed = origin !== undefined && (origins.includes('*') || origins.includes(origin));
    if (isAllowed) {
      response.setHeader('access-control-allow-origin', origins.includes('*') ? '*' : origin);
      response.setHeader(
        'access-control-expose-headers',
        [...cors.exposedHeaders, ...ownReplyHeaders].join(', '),
      );
    }
    if (!isPreflight) return false;
    response.writeHead(204, {
      ...(isAllowed && {
        'access-control-allow-methods': 'GET, HEAD, POST, OPTIONS',
        'access-control-allow-headers': [...cors.allowedHeaders, ...ownRequestHeaders].join(', '),
        'access-control-max-age': String(maxAgeSeconds),
      }),
    });
    // Both kinds of response have end(); Connect's type of them leaves it out.
    (response as ServerResponse).end();
    return true;
  };
}
