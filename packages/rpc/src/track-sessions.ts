/** Graceful end of an HTTP/2 server. */
import type { Http2Server, ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { tuneSession } from './http2-options.ts';

export interface SessionTracker {
  /** Connections open now. */
  readonly sessions: number;
  /**
   * Tells every client by GOAWAY to go elsewhere, waits up to graceMs for running calls, then ends what is left. The
   * server's listening socket is the caller's to close.
   */
  close(graceMs: number): Promise<void>;
}

/** Widens the window of each connection of the server and keeps track of it. */
export function trackSessions(server: Http2Server): SessionTracker {
  const sessions = new Set<ServerHttp2Session>();
  // A session that was closed first is destroyed by a mere FIN, which a peer that hangs never answers.
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
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
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => {
          for (const session of sessions) session.destroy();
          for (const socket of sockets) socket.destroy();
          resolve();
        }, graceMs);
        onEmpty = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    },
  };
}
