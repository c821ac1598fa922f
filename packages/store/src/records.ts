/** Small values by key, changed by compare-and-set. */

/** How values become bytes. `decode` throws on bytes that `encode` never made. */
export interface Codec<Value> {
  encode(value: Value): Uint8Array;
  decode(bytes: Uint8Array): Value;
}

/** A value as of a revision. */
export interface Entry<Value> {
  readonly value: Value;
  /** Grows with every change of any key of the store. */
  readonly revision: number;
}

/**
 * Keys are 1 to 128 of A-Z a-z 0-9 _ -. Without its server every call is NATS_UNAVAILABLE within a second; a write
 * that ends so may have happened.
 */
export interface RecordStore<Value> {
  /** The new record's revision; undefined if the key is taken, and nothing changed. */
  create(key: string, value: Value): Promise<number | undefined>;
  get(key: string): Promise<Entry<Value> | undefined>;
  /** The new revision; undefined if the record is no longer at that revision, and nothing changed. */
  update(key: string, value: Value, revision: number): Promise<number | undefined>;
  /**
   * The record as it is now, if it exists, then each change; a consumer that is 64 changes behind misses the oldest.
   * Ends when the signal aborts or the consumer stops; throws NATS_UNAVAILABLE when the connection is lost,
   * QUEUE_FULL over the limit of watchers.
   */
  watch(key: string, signal: AbortSignal): AsyncIterable<Entry<Value>>;
}
