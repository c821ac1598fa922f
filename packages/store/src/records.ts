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

/** A record as it is after a change. */
export interface Change<Value> {
  readonly key: string;
  readonly revision: number;
  /** As encoded; undefined if the record was deleted. */
  readonly bytes: Uint8Array | undefined;
  /** When it was written, by the server's clock, in ms since the epoch. */
  readonly timeMs: number;
  decode(): Value | undefined;
}

/** Who follows all records. Called in the order of revisions, never at the same time; must not throw. */
export interface Follower<Value> {
  /** Nothing of before is there any more: the server lost its data. */
  reset(): void;
  change(change: Change<Value>): void;
  /** The connection was lost; changes go on, none missed, when it is back. */
  lost(): void;
}

export interface RecordFeed {
  /**
   * Resolves when the follower has every write that had ended before. NATS_UNAVAILABLE without its server, or if it
   * takes more than two seconds: records are still being read.
   */
  caughtUp(): Promise<void>;
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
  /** Hands the follower every record there is, then each change, until the signal aborts. */
  follow(follower: Follower<Value>, signal: AbortSignal): RecordFeed;
}
