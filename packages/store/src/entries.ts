/** Small values by key, beside the blobs: claims, and what lists and sweeps them. */

/**
 * Keys are folders and a name, parted by slashes, each 1 to 255 of A-Z a-z 0-9 . _ - and never of dots alone. Errors:
 * STORE_FULL, STORE_FAILED.
 */
export interface Entries {
  /** False, and nothing changed, if the key is taken. Once it resolves, the value survives a crash. */
  create(key: string, value: Uint8Array): Promise<boolean>;
  /** Writes over what is there. Once it resolves, the value survives a crash. */
  replace(key: string, value: Uint8Array): Promise<void>;
  read(key: string): Promise<Buffer | undefined>;
  /** Removing what is not there is fine. */
  remove(key: string): Promise<void>;
  /**
   * Keys under the folder in the order of their bytes, each greater than `after`. One that is made or removed meanwhile
   * may be among them or not. Order holds where the names in a folder are of one length.
   */
  list(folder: string, after?: string): AsyncIterable<string>;
}
