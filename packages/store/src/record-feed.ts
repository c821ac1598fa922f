/**
 * All changes of a bucket, read once and handed to everybody who watches a key: a thousand watchers cost the server one
 * consumer. The feed begins with the first watcher and stays until its connection is lost.
 */
import { MeshError } from '@imagemesh/rpc';
import { type KV, type KvEntry, KvWatchInclude, type NatsConnection } from 'nats';
import type { RecordLink } from './nats-records.ts';
import type { Entry } from './records.ts';

export interface RecordFeedOptions<Value> {
  readonly link: Pick<RecordLink, 'call'>;
  readonly bucketOf: (connection: NatsConnection) => Promise<KV>;
  readonly read: (entry: KvEntry) => Entry<Value> | undefined;
  readonly get: (key: string) => Promise<Entry<Value> | undefined>;
  readonly maxWatchers: number;
}

export interface RecordFeed<Value> {
  watch(key: string, signal: AbortSignal): AsyncIterable<Entry<Value>>;
}

/** Changes kept for a slow watcher; beyond, the oldest go. */
const maxBehind = 64;
/** A watcher looks for itself this often, should the feed have missed something. */
const recheckMs = 10_000;

interface Watcher<Value> {
  readonly behind: Entry<Value>[];
  failure: MeshError | undefined;
  wake: () => void;
}

export function createRecordFeed<Value>(options: RecordFeedOptions<Value>): RecordFeed<Value> {
  const { link, bucketOf, read, get, maxWatchers } = options;
  const watchers = new Map<string, Set<Watcher<Value>>>();
  let count = 0;
  let started: Promise<void> | undefined;

  /** Resolves when every change from now on is handed out. */
  async function start(): Promise<void> {
    const changes = await link.call(async (connection) =>
      (await bucketOf(connection)).watch({ include: KvWatchInclude.UpdatesOnly }),
    );
    void (async () => {
      try {
        for await (const change of changes) hand(change);
      } catch {
        // Said to the watchers below.
      } finally {
        started = undefined;
        endAll();
      }
    })();
  }

  function hand(change: KvEntry): void {
    const those = watchers.get(change.key);
    if (those === undefined) return;
    const entry = read(change);
    if (entry === undefined) return;
    for (const watcher of those) {
      if (watcher.behind.length === maxBehind) watcher.behind.shift();
      watcher.behind.push(entry);
      watcher.wake();
    }
  }

  function endAll(): void {
    for (const those of watchers.values()) {
      for (const watcher of those) {
        watcher.failure = new MeshError('NATS_UNAVAILABLE', 'the connection to NATS was lost; watch again');
        watcher.wake();
      }
    }
  }

  function enter(key: string): Watcher<Value> {
    if (count >= maxWatchers) {
      throw new MeshError('QUEUE_FULL', `${maxWatchers} watches are open, the most there may be`);
    }
    count += 1;
    const watcher: Watcher<Value> = { behind: [], failure: undefined, wake: () => {} };
    const those = watchers.get(key) ?? new Set();
    watchers.set(key, those.add(watcher));
    return watcher;
  }

  function leave(key: string, watcher: Watcher<Value>): void {
    count -= 1;
    const those = watchers.get(key);
    those?.delete(watcher);
    if (those?.size === 0) watchers.delete(key);
  }

  return {
    async *watch(key, signal) {
      const watcher = enter(key);
      try {
        started ??= start().catch((error) => {
          started = undefined;
          throw error;
        });
        await started;
        let revision = 0;
        let next = await get(key);
        while (!signal.aborted) {
          if (next !== undefined && next.revision > revision) {
            revision = next.revision;
            yield next;
          }
          if (watcher.behind.length === 0 && watcher.failure === undefined) await change(watcher, signal);
          if (watcher.failure !== undefined) throw watcher.failure;
          next = watcher.behind.shift() ?? (signal.aborted ? undefined : await get(key));
        }
      } finally {
        leave(key, watcher);
      }
    },
  };
}

/** Waits for a change, the end of the connection or of the watch, or the time to look again. */
function change<Value>(watcher: Watcher<Value>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', wake);
      watcher.wake = () => {};
      resolve();
    };
    const timer = setTimeout(wake, recheckMs);
    signal.addEventListener('abort', wake, { once: true });
    watcher.wake = wake;
    if (signal.aborted) wake();
  });
}
