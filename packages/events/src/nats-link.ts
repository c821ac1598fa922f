/**
 * The connection to NATS. It is tried for ever in the background, so that a process starts, and works on as far as it
 * can, without NATS; what it needs there (streams, buckets, consumers) is made again after each connection, so that a
 * server that lost its data is of use again at once.
 *
 * The client's own reconnecting is off: it would hold back calls, without bound, until the server is back. Here a
 * lost connection ends every call on it at once, and the next connection is a new one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigError, type Logger } from '@imagemesh/observe';
import { MeshError } from '@imagemesh/rpc';
import { type ConnectionOptions, connect, type NatsConnection } from 'nats';
import { authOptions, type NatsAuth } from './nats-auth.ts';
import { isMissing, toMeshNatsError } from './nats-errors.ts';

export interface NatsLinkOptions {
  /** `nats://[user:password@]host:port`, tls:// for TLS, or several, comma-separated, of one cluster. */
  readonly url: string;
  /** Over what the URL says. */
  readonly auth?: NatsAuth | undefined;
  /** Shown in the server's list of connections. */
  readonly name: string;
  readonly log: Logger;
  /** Copies that a cluster keeps of streams and buckets. Default 1. */
  readonly replicas?: number;
}

/** Makes something in the server, or changes it, or finds it there; is called again after each connection. */
export type Make = (connection: NatsConnection, options: { readonly replicas: number }) => Promise<void>;

export interface NatsLink {
  /** Whether a connection is up and everything kept there is made. */
  readonly isConnected: boolean;
  /** What is missing: for /readyz. */
  readonly state: 'connecting' | 'preparing' | 'connected' | 'closed';
  /** Has it made now and after each connection. Calls wait for it. */
  keep(make: Make): void;
  /**
   * Runs one short exchange. NATS_UNAVAILABLE if there is no connection within 500 ms, or no answer within another
   * 1 s, or the connection is lost meanwhile. Where a stream is missing, all that is kept is made and it runs again.
   * All of it ends within NATS_CALL_TIMEOUT_MS.
   */
  call<Result>(run: (connection: NatsConnection) => Promise<Result>): Promise<Result>;
  /** The connection, once it is up; rejects with the signal's reason. */
  ready(signal: AbortSignal): Promise<NatsConnection>;
  /** Makes all that is kept again: something was found missing. */
  remake(): Promise<void>;
  /** Sends what is on the way, for at most 500 ms, and disconnects. */
  close(): Promise<void>;
}

const connectTimeoutMs = 1000;
const reconnectWaitMs = 250;
const readyWaitMs = 500;
const answerWaitMs = 1000;
/** The longest that one exchange takes, whatever NATS does: what a caller waits to hear that it is away. */
export const NATS_CALL_TIMEOUT_MS = readyWaitMs + answerWaitMs;
const closeWaitMs = 500;

/** ConfigError for a URL that is none; never for a server that cannot be reached. */
export function connectNats({ url, auth, name, log, replicas = 1 }: NatsLinkOptions): NatsLink {
  const settings = connectionOptions(url, name);
  const makers: Make[] = [];
  const closing = new AbortController();
  const waiting = new Set<(connection: NatsConnection) => void>();
  const unanswered = new Set<() => void>();
  let current: NatsConnection | undefined;
  let isMade = false;
  let making: Promise<void> | undefined;
  const ended = keepConnected();

  async function keepConnected(): Promise<void> {
    let wasLogged = false;
    while (!closing.signal.aborted) {
      try {
        const connection = await connect({ ...settings, ...(await authOptions(auth)) });
        current = connection;
        if (closing.signal.aborted) {
          await connection.close();
          break;
        }
        wasLogged = false;
        await makeAll(connection);
        log.info({ server: connection.getServer() }, 'connected to NATS');
        const reason = await connection.closed();
        if (!closing.signal.aborted) log.warn({ err: reason ?? undefined }, 'lost the connection to NATS');
      } catch (error) {
        if (!wasLogged) log.warn({ err: error }, 'NATS cannot be reached; trying on');
        wasLogged = true;
      } finally {
        current = undefined;
        isMade = false;
        for (const lose of unanswered) lose();
      }
      await sleep(reconnectWaitMs, undefined, { signal: closing.signal }).catch(() => {});
    }
  }

  /** One run at a time; a maker added meanwhile takes part. Tries on until done or the connection is lost. */
  function makeAll(connection: NatsConnection): Promise<void> {
    isMade = false;
    making ??= (async () => {
      let wasLogged = false;
      while (true) {
        try {
          for (const make of makers) await make(connection, { replicas });
          break;
        } catch (error) {
          if (connection.isClosed()) throw error;
          if (!wasLogged)
            log.warn({ err: error }, 'NATS is connected but refuses what is needed there; trying on');
          wasLogged = true;
          await sleep(reconnectWaitMs);
        }
      }
      if (current !== connection) return;
      isMade = true;
      for (const go of waiting) go(connection);
      waiting.clear();
    })().finally(() => {
      making = undefined;
    });
    return making;
  }

  function ready(signal: AbortSignal): Promise<NatsConnection> {
    if (isMade && current !== undefined) return Promise.resolve(current);
    return new Promise((resolve, reject) => {
      const go = (connection: NatsConnection) => {
        signal.removeEventListener('abort', stop);
        resolve(connection);
      };
      const stop = () => {
        waiting.delete(go);
        reject(signal.reason);
      };
      if (signal.aborted) return stop();
      waiting.add(go);
      signal.addEventListener('abort', stop, { once: true });
    });
  }

  async function connectionSoon(endMs: number): Promise<NatsConnection> {
    const patience = new AbortController();
    const waitMs = Math.min(readyWaitMs, endMs - performance.now());
    const timer = setTimeout(() => patience.abort(unavailable()), waitMs);
    try {
      return await ready(closing.signal.aborted ? AbortSignal.abort(unavailable()) : patience.signal);
    } finally {
      clearTimeout(timer);
    }
  }

  async function call<Result>(run: (connection: NatsConnection) => Promise<Result>): Promise<Result> {
    const endMs = performance.now() + NATS_CALL_TIMEOUT_MS;
    try {
      const connection = await connectionSoon(endMs);
      try {
        return await answered(connection, run, endMs);
      } catch (error) {
        if (!isMissing(error)) throw error;
        void remake();
        return await answered(await connectionSoon(endMs), run, endMs);
      }
    } catch (error) {
      throw toMeshNatsError(error);
    }
  }

  /** The run's answer; a timeout, or the loss of the connection, ends the wait. */
  function answered<Result>(
    connection: NatsConnection,
    run: (connection: NatsConnection) => Promise<Result>,
    endMs: number,
  ): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      const waitMs = Math.min(answerWaitMs, endMs - performance.now());
      const timer = setTimeout(() => end(() => reject(unavailable())), waitMs);
      const lose = () => end(() => reject(unavailable()));
      const end = (settle: () => void) => {
        clearTimeout(timer);
        unanswered.delete(lose);
        settle();
      };
      unanswered.add(lose);
      run(connection).then(
        (result) => end(() => resolve(result)),
        (error) => end(() => reject(error)),
      );
    });
  }

  async function remake(): Promise<void> {
    // A failure shows as a lost connection, and all is made again after the next.
    if (current !== undefined) await makeAll(current).catch(() => {});
  }

  return {
    get isConnected() {
      return isMade;
    },
    get state() {
      if (closing.signal.aborted) return 'closed';
      if (isMade) return 'connected';
      return current === undefined ? 'connecting' : 'preparing';
    },
    keep(make) {
      makers.push(make);
      void remake();
    },
    call,
    ready,
    remake,
    async close() {
      closing.abort(unavailable());
      const connection = current;
      if (connection !== undefined) {
        await Promise.race([connection.drain().catch(() => {}), sleep(closeWaitMs)]);
        await connection.close();
      }
      await ended;
    },
  };
}

function unavailable(cause?: unknown): MeshError {
  return new MeshError('NATS_UNAVAILABLE', 'NATS is not reachable; jobs wait for it', { cause });
}

function connectionOptions(url: string, name: string): ConnectionOptions {
  const urls = url.split(',').map(parseServer);
  const { username, password } = urls[0] ?? { username: '', password: '' };
  const user = decodeURIComponent(username);
  return {
    servers: urls.map(({ host }) => host),
    name,
    reconnect: false,
    timeout: connectTimeoutMs,
    // A silent server counts as lost after two unanswered pings.
    pingInterval: 5000,
    maxPingOut: 2,
    noAsyncTraces: true,
    ...(urls.some(({ protocol }) => protocol === 'tls:') && { tls: {} }),
    ...(username !== '' &&
      (password === '' ? { token: user } : { user, pass: decodeURIComponent(password) })),
  };
}

function parseServer(text: string): URL {
  const server = text.trim();
  const full = server.includes('://') ? server : `nats://${server}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  if (url !== undefined && url.host !== '' && /^(nats|tls):$/.test(url.protocol)) return url;
  // Not the text itself: it may hold a password.
  throw new ConfigError(
    'NATS_URL is not understood; the form is nats://[user:password@]host:port, comma-separated',
  );
}
