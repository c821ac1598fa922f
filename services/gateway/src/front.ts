/**
 * The public port: HTTP/1.1 and HTTP/2 by their first bytes, one request handler behind both; the hot gRPC methods
 * straight off their HTTP/2 streams.
 */
import http from 'node:http';
import http2, { type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import {
  createReadingSocket,
  http2ServerOptions,
  type NodeServerRequest,
  type NodeServerResponse,
  REQUEST_ID_HEADER,
  requestIdFrom,
  type StreamHandler,
  trackSessions,
} from '@imagemesh/rpc';
import { refuseBadHttp } from './bad-http.ts';
import { createBrokenSessions } from './broken-sessions.ts';
import type { ConnectionLimits } from './config.ts';
import type { PublicTls } from './public-tls.ts';
import { hasQueueRoom } from './queue-room.ts';
import { createSessionGuard } from './session-guard.ts';
import { createSniffingServer } from './sniff.ts';
import { createStallGuard } from './stall-guard.ts';
import { createTurns } from './turns.ts';

export interface FrontOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly limits: ConnectionLimits;
  /** Without it connections are in clear. */
  readonly tls?: PublicTls | undefined;
  /** Time for a whole HTTP/1 request. */
  readonly bodyTimeoutMs: number;
  /** Paths that plain gRPC calls go to raw. */
  readonly streams: ReadonlyMap<string, StreamHandler>;
  /** Everything else. */
  readonly handle: (request: NodeServerRequest, response: NodeServerResponse) => void;
}

export interface Front {
  readonly port: number;
  /** Open now, by protocol; those that have not said which are in neither. */
  readonly connections: { readonly http1: number; readonly http2: number };
  /** Requests and calls that have begun and are not over. */
  readonly requests: number;
  /** Stops listening, lets running calls finish for up to graceMs, then ends them. */
  close(graceMs: number): Promise<void>;
}

const maxHeaderBytes = 16 * 1024;

/** Those who count a call, and the five or so of a pipeline into it, are more than the ten from which Node warns of a leak. */
const maxResponseListeners = 20;

/** Requests that one connection begins in a turn of the event loop. */
const requestsPerTurn = 2;
/** Connections that are opened in a turn. */
const connectionsPerTurn = 4;
/** Requests that a connection of HTTP/1 may send ahead of their turn. */
const maxAhead = 256;

/** How often closing looks for connections that have fallen idle. */
const idleCheckMs = 25;

/** Rejects with the system's error (EADDRINUSE, …). */
export async function startFront({
  host,
  port,
  limits,
  tls,
  bodyTimeoutMs,
  streams,
  handle,
}: FrontOptions): Promise<Front> {
  let requests = 0;
  const count = (exchange: { once(event: 'close', listener: () => void): unknown }) => {
    requests++;
    exchange.once('close', () => {
      requests--;
    });
  };
  const onRequest = (request: NodeServerRequest, response: NodeServerResponse) => {
    response.setMaxListeners(maxResponseListeners);
    // Whoever answers, the reply has the id that the log has.
    const requestId = requestIdFrom(request.headers[REQUEST_ID_HEADER]);
    request.headers[REQUEST_ID_HEADER] = requestId;
    response.setHeader(REQUEST_ID_HEADER, requestId);
    try {
      handle(request, response);
    } catch {
      // Only a request that is not proper HTTP gets here: no host, an authority that is none.
      if (!response.headersSent) response.writeHead(400, { 'content-type': 'application/json' });
      const message = 'this is not a proper HTTP request';
      const error = { code: 'invalid_argument', reason: 'INVALID_REQUEST', message, request_id: requestId };
      // Both kinds of response have end(); Connect's type of them leaves it out.
      (response as http.ServerResponse).end(`${JSON.stringify({ error })}\n`);
    }
  };
  const turns = createTurns({ perTurn: requestsPerTurn });
  const openings = createTurns({ perTurn: connectionsPerTurn });
  const ahead = new WeakMap<Socket, number>();
  const http1 = createHttp1({ limits, bodyTimeoutMs }, (request, response) => {
    const { socket } = request as http.IncomingMessage;
    const waiting = ahead.get(socket) ?? 0;
    if (waiting >= maxAhead) {
      socket.destroy();
      return;
    }
    ahead.set(socket, waiting + 1);
    turns.run(socket, () => {
      ahead.set(socket, (ahead.get(socket) ?? 1) - 1);
      if (socket.destroyed) return;
      // Both kinds of response are emitters; Connect's type of them leaves that out.
      count(response as http.ServerResponse);
      onRequest(request, response);
    });
  });
  const http1Sockets = new Set<Socket>();
  const http2Sockets = new Set<Socket>();
  const hasRoom = (socket: Socket) => hasQueueRoom(http2Sockets, socket);
  const h2 = http2.createServer(http2ServerOptions);
  const sessions = trackSessions(h2);
  h2.on('session', createSessionGuard({ idleTimeoutMs: limits.idleTimeoutMs }));
  const brokenSessions = createBrokenSessions();
  const stallGuard = createStallGuard({ timeoutMs: limits.stallTimeoutMs });
  // Makes request and response objects for the streams that do not go raw; never listens itself.
  const compat = http2.createServer(http2ServerOptions, onRequest);
  h2.on(
    'stream',
    (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number, rawHeaders: string[]) => {
      stallGuard.watch(stream);
      let hasBegun = false;
      let hasWaited = false;
      turns.run(stream.session ?? stream, () => {
        hasBegun = true;
        // Taken back while it waited.
        if (hasWaited && stream.destroyed) return;
        count(stream);
        const raw = isPlainGrpc(headers) ? streams.get(headers[':path'] ?? '') : undefined;
        if (raw !== undefined) raw(stream, headers);
        else compat.emit('stream', stream, headers, flags, rawHeaders);
      });
      if (hasBegun) return;
      hasWaited = true;
      // Whoever serves it hears of errors; until its turn somebody has to.
      stream.on('error', () => {});
    },
  );

  const open = (socket: Socket, hand: () => void) => {
    const onError = () => {};
    socket.on('error', onError);
    openings.run(openings, () => {
      socket.off('error', onError);
      if (!socket.destroyed) hand();
    });
  };
  const { server, dropUndecided } = createSniffingServer({
    toHttp1: (socket) => {
      http1Sockets.add(socket);
      socket.once('close', () => http1Sockets.delete(socket));
      stallGuard.watch(socket);
      open(socket, () => {
        http1.emit('connection', socket);
        if (socket instanceof TLSSocket) readByEvents(socket);
      });
    },
    toHttp2: (socket) => {
      http2Sockets.add(socket);
      socket.once('close', () => http2Sockets.delete(socket));
      stallGuard.watch(socket);
      open(socket, () => {
        // The session is made at once.
        h2.once('session', (session) => brokenSessions.watch(session, socket));
        h2.emit('connection', createReadingSocket(socket, hasRoom));
      });
    },
    timeoutMs: limits.headersTimeoutMs,
    maxConnections: limits.maxConnections,
    ...(tls !== undefined && { createListener: tls.createListener }),
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    // A TCP server that listens has such an address.
    port: (server.address() as AddressInfo).port,
    get connections() {
      return { http1: http1Sockets.size, http2: sessions.sessions };
    },
    get requests() {
      return requests;
    },
    async close(graceMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      dropUndecided();
      await Promise.all([sessions.close(graceMs), closeHttp1(http1, http1Sockets, graceMs)]);
      brokenSessions.close();
      stallGuard.close();
      await closed;
    },
  };
}

/**
 * Node's HTTP/1 server takes bytes straight off the socket's handle. It stops reading while a reply waits to be sent, but under
 * TLS what was decrypted with the bytes before comes all the same, and is refused as no proper HTTP (HPE_PAUSED): a request
 * on a kept connection, sent before the last large reply counted as sent. A listener for data makes it read by events,
 * which do stop.
 */
function readByEvents(socket: Socket): void {
  socket.on('data', () => {});
}

function createHttp1(
  { limits, bodyTimeoutMs }: Pick<FrontOptions, 'limits' | 'bodyTimeoutMs'>,
  onRequest: FrontOptions['handle'],
): http.Server {
  /** The latest of each connection. */
  const responses = new WeakMap<Socket, http.ServerResponse>();
  const http1 = http.createServer(
    {
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: bodyTimeoutMs,
      keepAliveTimeout: limits.idleTimeoutMs,
      maxHeaderSize: maxHeaderBytes,
      connectionsCheckingInterval: Math.min(5000, limits.headersTimeoutMs),
    },
    (request, response) => {
      responses.set(request.socket, response);
      onRequest(request, response);
    },
  );
  http1.on('clientError', (error, socket) => {
    // The sockets of this server are net's.
    const connection = socket as Socket;
    const last = responses.get(connection);
    // A reply is under way, or was made before all of its request had come: another would be taken for the next one's.
    const hasReply = last?.headersSent === true && !(last.writableFinished && last.req.complete);
    refuseBadHttp(error, connection, hasReply);
  });
  // Its connections come from elsewhere, so it never listens; this is what starts its timeouts.
  http1.emit('listening');
  return http1;
}

/** Waits for running requests, closing connections as they fall idle. */
async function closeHttp1(http1: http.Server, sockets: ReadonlySet<Socket>, graceMs: number): Promise<void> {
  http1.close();
  const endMs = performance.now() + graceMs;
  for (
    http1.closeIdleConnections();
    sockets.size > 0 && performance.now() < endMs;
    http1.closeIdleConnections()
  ) {
    await sleep(idleCheckMs);
  }
  for (const socket of sockets) socket.destroy();
}

function isPlainGrpc(headers: IncomingHttpHeaders): boolean {
  const type = headers['content-type'];
  const encoding = headers['grpc-encoding'];
  return (
    headers[':method'] === 'POST' &&
    (type === 'application/grpc' || type === 'application/grpc+proto') &&
    (encoding ?? 'identity') === 'identity'
  );
}
