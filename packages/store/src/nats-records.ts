/** Records in a JetStream key-value bucket. */
import { MeshError } from '@imagemesh/rpc';
import { type KV, type KvEntry, type NatsConnection, NatsError } from 'nats';
import { createRecordFeed } from './record-feed.ts';
import type { Codec, Entry, RecordStore } from './records.ts';

/** What is needed of the connection to NATS; @imagemesh/events has it. */
export interface RecordLink {
  /** Runs one short exchange; NATS_UNAVAILABLE within a second or so if there is no answer. */
  call<Result>(run: (connection: NatsConnection) => Promise<Result>): Promise<Result>;
  /** Has something made in the server now and after each connection. */
  keep(make: (connection: NatsConnection, options: { readonly replicas: number }) => Promise<void>): void;
}

export interface NatsRecordsOptions<Value> {
  /** Name of the bucket: A-Z a-z 0-9 _ -. */
  readonly bucket: string;
  readonly codec: Codec<Value>;
  /** A record goes this long after its last change. Default 7 days. */
  readonly ttlMs?: number;
  /** Size of the bucket; beyond it, writes are STORE_FULL. Default 256 MiB. */
  readonly maxBytes?: number;
}

const weekMs = 7 * 24 * 3_600_000;
const keyPattern = /^[A-Za-z0-9_-]{1,128}$/;
/** Server error "wrong last sequence". */
const wrongLastSequence = 10_071;

export function openNatsRecords<Value>(
  link: RecordLink,
  options: NatsRecordsOptions<Value>,
): RecordStore<Value> {
  const { bucket, codec, ttlMs = weekMs, maxBytes = 256 * 1024 ** 2 } = options;
  const buckets = new WeakMap<NatsConnection, Promise<KV>>();

  // Direct reads may come from a copy that lags; a write must be seen by the next read.
  const settings = { history: 1, allow_direct: false, timeout: 1000 };
  link.keep(async (connection, { replicas }) => {
    buckets.delete(connection);
    const { views } = connection.jetstream({ timeout: 1000 });
    await views.kv(bucket, { ...settings, ttl: ttlMs, max_bytes: maxBytes, replicas });
  });

  function bucketOf(connection: NatsConnection): Promise<KV> {
    let opened = buckets.get(connection);
    if (opened === undefined) {
      opened = connection.jetstream({ timeout: 1000 }).views.kv(bucket, { ...settings, bindOnly: true });
      opened.catch(() => buckets.delete(connection));
      buckets.set(connection, opened);
    }
    return opened;
  }

  function read(entry: KvEntry): Entry<Value> | undefined {
    return entry.operation === 'PUT'
      ? { value: codec.decode(entry.value), revision: entry.revision }
      : undefined;
  }

  async function get(key: string): Promise<Entry<Value> | undefined> {
    checkKey(key);
    const entry = await link.call(async (connection) => (await bucketOf(connection)).get(key));
    return entry === null ? undefined : read(entry);
  }

  async function write(put: (records: KV) => Promise<number>): Promise<number | undefined> {
    return link.call(async (connection) => {
      try {
        return await put(await bucketOf(connection));
      } catch (error) {
        if (error instanceof NatsError && error.api_error?.err_code === wrongLastSequence) return undefined;
        throw error;
      }
    });
  }

  return {
    async create(key, value) {
      checkKey(key);
      return write((records) => records.create(key, codec.encode(value)));
    },
    get,
    async update(key, value, revision) {
      checkKey(key);
      return write((records) => records.update(key, codec.encode(value), revision));
    },
    follow: (follower, signal) => createRecordFeed({ link, bucket, bucketOf, codec }, follower, signal),
  };
}

function checkKey(key: string): void {
  if (!keyPattern.test(key))
    throw new MeshError('INTERNAL', `a record cannot have the key ${JSON.stringify(key)}`);
}
