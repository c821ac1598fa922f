/**
 * Every record of a bucket and every change of it, in the order of revisions, through one consumer in the server. The
 * connection may be lost and the process late: it goes on after the last revision it has seen.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { MeshError } from '@imagemesh/rpc';
import type { KV, KvEntry, NatsConnection } from 'nats';
import type { RecordLink } from './nats-records.ts';
import type { Codec, Follower, RecordFeed } from './records.ts';

export interface RecordFeedOptions<Value> {
  readonly link: Pick<RecordLink, 'call'>;
  readonly bucket: string;
  readonly bucketOf: (connection: NatsConnection) => Promise<KV>;
  readonly codec: Codec<Value>;
}

const retryMs = 250;
const answerMs = 1000;
const catchUpMs = 2000;
/** Of a feed that has missed something without a word, the watch is begun again after this long, twice at most. */
const checkEveryMs = 10_000;

/** What is in the bucket: when it was made, and the revision of its last change. */
interface BucketState {
  readonly created: string;
  readonly lastRevision: number;
  readonly isEmpty: boolean;
}

export function createRecordFeed<Value>(
  { link, bucket, bucketOf, codec }: RecordFeedOptions<Value>,
  follower: Follower<Value>,
  signal: AbortSignal,
): RecordFeed {
  let created = '';
  let revision = 0;
  let stopWatch: () => void = () => {};
  const waiting = new Set<() => void>();
  signal.addEventListener('abort', () => stopWatch(), { once: true });
  void keepFollowing();
  const timer = setInterval(() => void check(), checkEveryMs);
  timer.unref();
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });

  async function keepFollowing(): Promise<void> {
    while (!signal.aborted) {
      try {
        const changes = await begin();
        for await (const change of changes) hand(change);
      } catch {
        // Said to the follower below.
      } finally {
        stopWatch = () => {};
        follower.lost();
      }
      await sleep(retryMs, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** A watch from the last revision on; from nothing where the bucket is another one than before. */
  async function begin(): Promise<AsyncIterable<KvEntry>> {
    const state = await stateOf();
    if (state.created !== created || state.lastRevision < revision) {
      created = state.created;
      revision = 0;
      follower.reset();
    }
    const changes = await link.call(async (connection) =>
      (await bucketOf(connection)).watch(revision === 0 ? {} : { resumeFromRevision: revision + 1 }),
    );
    stopWatch = () => changes.stop();
    if (signal.aborted) changes.stop();
    return changes;
  }

  function hand({ key, revision: at, operation, value, created: time }: KvEntry): void {
    if (at <= revision) return;
    revision = at;
    const bytes = operation === 'PUT' ? value : undefined;
    follower.change({
      key,
      revision: at,
      bytes,
      timeMs: time.getTime(),
      decode: () => (bytes === undefined ? undefined : codec.decode(bytes)),
    });
    for (const wake of waiting) wake();
  }

  function stateOf(): Promise<BucketState> {
    return link.call(async (connection) => {
      const { streams } = await connection.jetstreamManager({ checkAPI: false, timeout: answerMs });
      const info = await streams.info(`KV_${bucket}`);
      const { messages, last_seq: lastRevision } = info.state;
      return { created: String(info.created), lastRevision, isEmpty: messages === 0 };
    });
  }

  async function check(): Promise<void> {
    const before = revision;
    const state = await stateOf().catch(() => undefined);
    if (state === undefined || state.isEmpty || state.lastRevision <= revision) return;
    await sleep(catchUpMs, undefined, { signal, ref: false }).catch(() => {});
    if (revision === before) stopWatch();
  }

  return {
    async caughtUp() {
      const state = await stateOf();
      if (state.isEmpty) return;
      const isThere = () => created === state.created && revision >= state.lastRevision;
      if (isThere()) return;
      await new Promise<void>((resolve, reject) => {
        const late = setTimeout(() => {
          waiting.delete(look);
          reject(new MeshError('NATS_UNAVAILABLE', 'the jobs are still being read from NATS; ask again'));
        }, catchUpMs);
        function look(): void {
          if (!isThere()) return;
          clearTimeout(late);
          waiting.delete(look);
          resolve();
        }
        waiting.add(look);
        look();
      });
    },
  };
}
