/** The admin port: /metrics, /healthz, /readyz. Plain HTTP/1.1, never on the public port. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { ConfigError } from './env.ts';
import type { Metrics } from './metrics.ts';

export interface AdminOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  readonly metrics: Metrics;
  /** true, or why not. */
  readonly isReady: () => true | string;
}

export interface Admin {
  readonly port: number;
  close(): Promise<void>;
}

const maxConnections = 64;

/** Serves GET /metrics, /healthz (200 as long as the event loop runs) and /readyz (200, or 503 with the reason). */
export async function startAdmin({
  host = '127.0.0.1',
  port = 0,
  metrics,
  isReady,
}: AdminOptions): Promise<Admin> {
  const server = createServer((request, response) => {
    answer(request, response, metrics, isReady).catch((error: unknown) => {
      response.writeHead(500).end(`${error}\n`);
    });
  });
  server.maxConnections = maxConnections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string')
    throw new ConfigError('the admin port must be a TCP port');
  return {
    port: address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  metrics: Metrics,
  isReady: () => true | string,
): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { allow: 'GET, HEAD' }).end();
    return;
  }
  switch (request.url?.split('?', 1)[0]) {
    case '/metrics': {
      const body = await metrics.registry.metrics();
      response.writeHead(200, { 'content-type': metrics.registry.contentType }).end(body);
      return;
    }
    case '/healthz':
      json(response, 200, { status: 'ok' });
      return;
    case '/readyz': {
      const ready = isReady();
      if (ready === true) json(response, 200, { status: 'ready' });
      else json(response, 503, { status: 'not ready', reason: ready });
      return;
    }
    default:
      json(response, 404, { status: 'not found', paths: ['/metrics', '/healthz', '/readyz'] });
  }
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
}
