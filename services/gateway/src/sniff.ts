/**
 * One port for HTTP/1.1 and HTTP/2 in clear text ("h2c with prior knowledge").
 *
 * Node's http2 server speaks HTTP/1 only under TLS (nodejs/node#44887), so the first bytes of a connection decide: an
 * HTTP/2 client begins with a fixed preface of 24 bytes (RFC 9113 §3.4). The bytes read are put back and the socket
 * is handed to the server that speaks it. A preface may come in pieces; nobody may take long over it.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export interface SniffOptions {
  /** Takes a connection that speaks HTTP/1. */
  readonly toHttp1: (socket: Socket) => void;
  /** Takes a connection that speaks HTTP/2. */
  readonly toHttp2: (socket: Socket) => void;
  /** Listens; default in clear. With TLS whoever speaks HTTP/2 must have said so by ALPN. */
  readonly createListener?: (onConnection: (socket: Socket) => void) => Server;
  /** How long the first bytes may take before the connection is closed. */
  readonly timeoutMs: number;
  /** Connections at once; more are closed at once. */
  readonly maxConnections: number;
}

export interface SniffingServer {
  readonly server: Server;
  /** Ends connections whose first bytes have not come: nobody waits for an answer on them. */
  dropUndecided(): void;
}

/** What the bytes so far say about the protocol. */
export function protocolOf(head: Uint8Array): 'http1' | 'http2' | 'undecided' {
  const length = Math.min(head.length, preface.length);
  if (preface.compare(head, 0, length, 0, length) !== 0) return 'http1';
  return length === preface.length ? 'http2' : 'undecided';
}

/** A listener, not yet listening, that hands each connection to the right server. */
export function createSniffingServer({
  toHttp1,
  toHttp2,
  createListener = listenInClear,
  timeoutMs,
  maxConnections,
}: SniffOptions): SniffingServer {
  const undecided = new Set<Socket>();
  const server = createListener((socket) => {
    let head: Buffer = Buffer.alloc(0);
    undecided.add(socket);
    // If this process was the one that stalled, the bytes lie unread in the socket: read once before judging.
    const judge = () => setImmediate(() => setImmediate(() => undecided.has(socket) && socket.destroy()));
    const timer = setTimeout(judge, timeoutMs);
    const stop = () => {
      clearTimeout(timer);
      undecided.delete(socket);
      socket.off('readable', onReadable).off('end', onGone).off('error', onGone).off('close', stop);
    };
    const onGone = () => {
      stop();
      socket.destroy();
    };
    const onReadable = () => {
      for (let bytes = read(socket); bytes !== undefined; bytes = read(socket)) {
        head = head.length === 0 ? bytes : Buffer.concat([head, bytes]);
      }
      const protocol = protocolOf(head);
      if (head.length === 0 || protocol === 'undecided') return;
      stop();
      socket.unshift(head);
      if (protocol !== 'http2') toHttp1(socket);
      else if (socket instanceof TLSSocket && socket.alpnProtocol !== 'h2') socket.destroy();
      else toHttp2(socket);
    };
    socket.on('readable', onReadable).on('end', onGone).on('error', onGone).on('close', stop);
  });
  server.maxConnections = maxConnections;
  return {
    server,
    dropUndecided: () => {
      for (const socket of undecided) socket.destroy();
    },
  };
}

function listenInClear(onConnection: (socket: Socket) => void): Server {
  return createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 }, onConnection);
}

function read(socket: Socket): Buffer | undefined {
  const bytes: unknown = socket.read();
  return Buffer.isBuffer(bytes) ? bytes : undefined;
}
