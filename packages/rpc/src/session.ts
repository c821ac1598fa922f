/** One HTTP/2 connection of a client: its streams, its reset budget, its pings, its end. */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { connect as connectSocket, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import {
  http2ClientOptions,
  MAX_STREAMS_PER_SESSION,
  SESSION_WINDOW_BYTES,
  tuneSession,
} from './http2-options.ts';
import type { MeshTls } from './mesh-tls.ts';
import { createReadingSocket } from './reading-socket.ts';
import { ResetBudget, type ResetBudgetOptions } from './reset-budget.ts';

export interface SessionLimits {
  /** Without it the connection is in clear. */
  readonly tls?: MeshTls | undefined;
  /** Calls at once on one connection. Default 256; the server's own limit counts too. */
  readonly maxStreams?: number;
  readonly resetBudget?: ResetBudgetOptions;
  /** How long opening a connection may take. Default 3000. */
  readonly connectTimeoutMs?: number;
  /** Pings while the connection is up; it breaks if one is not answered in time. Default: none. */
  readonly keepalive?: { readonly intervalMs: number; readonly timeoutMs: number };
}

const defaultConnectTimeoutMs = 3000;
/** The window, and room for frames that it does not count. */
const maxQueuedBytes = SESSION_WINDOW_BYTES + 1024 * 1024;

export class ClientSession {
  /** Rejects if the connection cannot be opened. */
  readonly connected: Promise<void>;
  readonly #session: ClientHttp2Session;
  readonly #socket: Socket;
  readonly #limits: SessionLimits;
  readonly #resets: ResetBudget;
  #streams = 0;
  #wasConnected = false;
  #isRetiring = false;
  #isOurEnd = false;
  #timer: NodeJS.Timeout | undefined;

  /** `onClosed` is called once, when the connection is gone. */
  constructor(address: string, limits: SessionLimits, onClosed: () => void) {
    this.#limits = limits;
    this.#resets = new ResetBudget(limits.resetBudget ?? {}, performance.now());
    const { hostname, port } = new URL(`http://${address}`);
    const host = hostname.replace(/^\[|\]$/g, '');
    // An http URL drops :80.
    const place = { host, port: Number(port || 80), noDelay: true };
    const { tls } = limits;
    const socket = tls === undefined ? connectSocket(place) : connectTls({ ...place, ...tls.clientOptions });
    this.#socket = socket;
    const session = connect(`http://${address}`, {
      ...http2ClientOptions,
      createConnection: () =>
        createReadingSocket(socket, ({ writableLength }) => writableLength <= maxQueuedBytes),
    });
    this.#session = session;
    this.#timer = setTimeout(
      () => session.destroy(new Error('connecting took too long')),
      limits.connectTimeoutMs ?? defaultConnectTimeoutMs,
    );
    this.connected = new Promise((resolve, reject) => {
      // The session itself takes its stream for connected from the start.
      session.once('connect', () => tuneSession(session));
      socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
        clearTimeout(this.#timer);
        this.#wasConnected = true;
        this.#startPings();
        resolve();
      });
      // Streams learn of it by themselves; 'close' follows.
      session.on('error', reject);
      session.once('close', () => reject(new Error('the connection closed')));
    });
    this.connected.catch(() => {});
    session.on('goaway', () => this.#retire());
    session.once('close', () => {
      clearTimeout(this.#timer);
      onClosed();
    });
  }

  get streams(): number {
    return this.#streams;
  }

  get wasConnected(): boolean {
    return this.#wasConnected;
  }

  get isConnected(): boolean {
    return this.#wasConnected && !this.#session.destroyed && !this.#session.closed;
  }

  /** Whether we end it (closed, or its reset budget spent), rather than the other end or the network. */
  get isOurEnd(): boolean {
    return this.#isOurEnd;
  }

  /** Takes no new calls; ends with its last one. */
  get isRetiring(): boolean {
    return this.#isRetiring || this.#session.destroyed || this.#session.closed;
  }

  get hasRoom(): boolean {
    const own = this.#limits.maxStreams ?? MAX_STREAMS_PER_SESSION;
    const theirs = this.#session.remoteSettings?.maxConcurrentStreams ?? own;
    return this.#streams < Math.min(own, theirs);
  }

  request(headers: OutgoingHttpHeaders): ClientHttp2Stream {
    const stream = this.#session.request(headers, { endStream: false });
    this.#streams++;
    stream.once('close', () => {
      this.#streams--;
      if (this.#isRetiring && this.#streams === 0) this.#session.close();
    });
    return stream;
  }

  spendReset(): void {
    if (this.#resets.spend(performance.now())) return;
    this.#isOurEnd = true;
    this.#retire();
  }

  #retire(): void {
    if (this.#isRetiring) return;
    this.#isRetiring = true;
    if (this.#streams === 0) this.#session.close();
  }

  async close(graceMs: number): Promise<void> {
    const session = this.#session;
    if (session.destroyed) return;
    this.#isRetiring = true;
    this.#isOurEnd = true;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        session.destroy();
        // A session that was closed first ends with a mere FIN, which a peer that hangs never answers.
        this.#socket.destroy();
      }, graceMs);
      session.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
      if (this.#streams === 0) session.close();
    });
  }

  #startPings(): void {
    const { keepalive } = this.#limits;
    if (keepalive === undefined) return;
    const session = this.#session;
    const next = () => {
      this.#timer = setTimeout(ping, keepalive.intervalMs);
    };
    const ping = () => {
      if (session.destroyed || session.closed) return;
      let isAnswered = false;
      session.ping((error) => {
        isAnswered = error === null;
      });
      this.#timer = setTimeout(judge, keepalive.timeoutMs, () => isAnswered);
    };
    const judge = (isAnswered: () => boolean) => {
      // If this process was the one that stalled, the answer lies unread in the socket: read once before judging.
      setImmediate(() =>
        setImmediate(() => {
          if (session.destroyed) return;
          if (isAnswered()) next();
          else session.destroy(new Error('a ping was not answered in time'));
        }),
      );
    };
    next();
  }
}
