/** Graceful end of an HTTP/2 server. */
import { constants, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { MeshError } from './errors.ts';
import { statusTrailers } from './grpc-status.ts';
import { tuneSession } from './http2-options.ts';
import { IM_REASON } from './metadata.ts';
import { retryHeaders } from './refuse-call.ts';

export interface SessionTracker {
  /** Connections open now. */
  readonly sessions: number;
  /**
   * Tells every client by GOAWAY to go elsewhere and waits up to graceMs for running calls. What is left then is
   * answered UNAVAILABLE (SHUTTING_DOWN), or reset where its reply has begun. The server's listening socket is the
   * caller's to close.
   */
  close(graceMs: number): Promise<void>;
}

/** Part of the grace kept for the last answers to reach their clients. */
const lastWordMs = 200;

/** Widens the window of each connection of the server and keeps track of it. */
export function trackSessions(server: Http2Server): SessionTracker {
  const sessions = new Set<ServerHttp2Session>();
  // A session that was closed first is destroyed by a mere FIN, which a peer that hangs never answers.
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  /** Calls under way, and whether they are gRPC. */
  const streams = new Map<ServerHttp2Stream, boolean>();
  server.on('stream', (stream, headers) => {
    streams.set(stream, headers['content-type']?.startsWith('application/grpc') === true);
    stream.once('close', () => streams.delete(stream));
  });
  let isClosing = false;
  let onEmpty: (() => void) | undefined;
  server.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => {
      sessions.delete(session);
      if (sessions.size === 0) onEmpty?.();
    });
    // A connection that breaks ends its streams, and they tell.
    session.on('error', () => {});
    tuneSession(session);
    if (isClosing) session.close();
  });
  return {
    get sessions() {
      return sessions.size;
    },
    async close(graceMs) {
      isClosing = true;
      for (const session of sessions) session.close();
      if (sessions.size === 0) return;
      const reservedMs = Math.min(lastWordMs, graceMs / 2);
      await new Promise<void>((resolve) => {
        const answering = setTimeout(() => {
          for (const [stream, isGrpc] of streams) refuse(stream, isGrpc);
        }, graceMs - reservedMs);
        const ending = setTimeout(() => {
          for (const session of sessions) session.destroy();
          for (const socket of sockets) socket.destroy();
          resolve();
        }, graceMs);
        onEmpty = () => {
          clearTimeout(answering);
          clearTimeout(ending);
          resolve();
        };
      });
    },
  };
}

/** Without this a client sees its stream close without any status, and some wait for one for ever. */
function refuse(stream: ServerHttp2Stream, isGrpc: boolean): void {
  if (stream.destroyed || stream.closed) return;
  if (stream.headersSent) {
    stream.close(constants.NGHTTP2_CANCEL);
    return;
  }
  const error = new MeshError('SHUTTING_DOWN', 'the server is stopping');
  // Connect takes a bare 503 for UNAVAILABLE.
  const headers = isGrpc
    ? { ':status': 200, 'content-type': 'application/grpc', ...statusTrailers(error) }
    : { ':status': 503, [IM_REASON]: error.reason, ...retryHeaders(error) };
  stream.respond(headers, { endStream: true });
}
