/** A pool of HTTP/2 connections to one address, for raw streams. */
import { type ClientHttp2Stream, constants, type OutgoingHttpHeaders } from 'node:http2';
import { MeshError } from './errors.ts';
import { ClientSession, type SessionLimits } from './session.ts';

export interface SessionPoolOptions extends SessionLimits {
  /** Connections at once, retiring ones not counted. Default 4: 1,024 calls. */
  readonly maxSessions?: number;
  /** What a call fails with if its connection cannot be opened. Default BALANCER_UNREACHABLE. */
  readonly unreachable?: (cause: unknown) => MeshError;
  /** What a call fails with if its connection breaks. Default REPLICA_LOST. */
  readonly lost?: (cause: unknown) => MeshError;
}

export interface SessionPool {
  /** host:port. */
  readonly address: string;
  /** Whether a connection is up and takes calls. */
  readonly isConnected: boolean;
  /** Streams open now, over all connections. */
  readonly streams: number;
  /** Opens a connection if none is up; rejects with the `unreachable` error. */
  connect(): Promise<void>;
  /**
   * A new stream, on a connection that may still be opening. Throws MeshError when the pool is closed or full. Attach an
   * 'error' listener. The caller must end it, or reset it with `reset`.
   */
  request(headers: OutgoingHttpHeaders): ClientHttp2Stream;
  /** Resets a stream and counts it. Never close or destroy an unfinished stream of the pool otherwise. Default CANCEL. */
  reset(stream: ClientHttp2Stream, code?: number): void;
  /** Whether that stream's connection ever came up. */
  wasConnected(stream: ClientHttp2Stream): boolean;
  /** Calls back whenever the last connection that was up breaks; returns the end of that. */
  onDown(callback: () => void): () => void;
  unreachable(cause: unknown): MeshError;
  lost(cause: unknown): MeshError;
  /** Lets calls finish for up to graceMs (default 0), then ends them. */
  close(graceMs?: number): Promise<void>;
}

const defaultMaxSessions = 4;

export function createSessionPool(address: string, options: SessionPoolOptions = {}): SessionPool {
  return new Pool(address, options);
}

class Pool implements SessionPool {
  readonly address: string;
  readonly #options: SessionPoolOptions;
  readonly #sessions = new Set<ClientSession>();
  readonly #owners = new WeakMap<ClientHttp2Stream, ClientSession>();
  readonly #downCallbacks = new Set<() => void>();
  #isClosed = false;

  constructor(address: string, options: SessionPoolOptions) {
    this.address = address;
    this.#options = options;
  }

  get isConnected(): boolean {
    return this.#some((session) => session.isConnected && !session.isRetiring);
  }

  get streams(): number {
    let streams = 0;
    for (const session of this.#sessions) streams += session.streams;
    return streams;
  }

  async connect(): Promise<void> {
    if (this.isConnected) return;
    await this.#usable().connected.catch((error: unknown) => {
      throw this.unreachable(error);
    });
  }

  request(headers: OutgoingHttpHeaders): ClientHttp2Stream {
    const session = this.#usable();
    const stream = session.request(headers);
    this.#owners.set(stream, session);
    return stream;
  }

  reset(stream: ClientHttp2Stream, code: number = constants.NGHTTP2_CANCEL): void {
    if (stream.destroyed || stream.closed) return;
    this.#owners.get(stream)?.spendReset();
    stream.close(code);
  }

  wasConnected(stream: ClientHttp2Stream): boolean {
    return this.#owners.get(stream)?.wasConnected ?? false;
  }

  onDown(callback: () => void): () => void {
    this.#downCallbacks.add(callback);
    return () => this.#downCallbacks.delete(callback);
  }

  unreachable(cause: unknown): MeshError {
    return (
      this.#options.unreachable?.(cause) ??
      new MeshError('BALANCER_UNREACHABLE', `no connection to ${this.address}`, { cause })
    );
  }

  lost(cause: unknown): MeshError {
    return (
      this.#options.lost?.(cause) ??
      new MeshError('REPLICA_LOST', `the connection to ${this.address} broke`, { cause })
    );
  }

  async close(graceMs = 0): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#sessions].map((session) => session.close(graceMs)));
  }

  /** The fullest session with room, so that idle ones stay idle; else a new one. */
  #usable(): ClientSession {
    if (this.#isClosed) throw this.unreachable(new Error('the pool is closed'));
    let best: ClientSession | undefined;
    let active = 0;
    for (const session of this.#sessions) {
      if (session.isRetiring) continue;
      active++;
      if (session.hasRoom && (best === undefined || session.streams > best.streams)) best = session;
    }
    if (best !== undefined) return best;
    const maxSessions = this.#options.maxSessions ?? defaultMaxSessions;
    if (active >= maxSessions) {
      throw new MeshError('OVERLOADED', `all ${maxSessions} connections to ${this.address} are full`);
    }
    return this.#open();
  }

  #open(): ClientSession {
    const session = new ClientSession(this.address, this.#options, () => {
      this.#sessions.delete(session);
      const isDown = session.wasConnected && !session.isOurEnd && !this.isConnected;
      if (isDown) for (const callback of this.#downCallbacks) callback();
    });
    this.#sessions.add(session);
    return session;
  }

  #some(test: (session: ClientSession) => boolean): boolean {
    for (const session of this.#sessions) if (test(session)) return true;
    return false;
  }
}
