/** GET /openapi.json: what the HTTP side takes and answers, for programs. */
import { createHash } from 'node:crypto';
import type { Route } from '../route.ts';
import { openApiDocument } from './document.ts';

export function openApiRoute(): Route {
  const text = Buffer.from(JSON.stringify(openApiDocument()));
  const etag = `"${createHash('sha256').update(text).digest('base64url')}"`;
  const headers = { etag, 'cache-control': 'no-cache', 'x-content-type-options': 'nosniff' };
  return {
    method: 'GET',
    pattern: /^\/openapi\.json$/,
    name: '/openapi.json',
    access: 'open',
    async serve({ request, response }) {
      if (request.headers['if-none-match'] === etag) {
        response.writeHead(304, headers).end();
        return;
      }
      response.writeHead(200, {
        ...headers,
        'content-type': 'application/json; charset=utf-8',
        'content-length': String(text.length),
      });
      response.end(request.method === 'HEAD' ? undefined : text);
    },
  };
}
