/**
 * Results in memory, by what they are made of: an image's digest, operations, output. Those used longest ago go first. What
 * is asked for while it is being made is made once; the work ends when the last who waits for it has left.
 */
import type { ImageInfo } from '@imagemesh/api';

export interface CachedResult {
  readonly bytes: Uint8Array;
  readonly info: ImageInfo;
  readonly etag: string;
}

export interface ResultCache {
  readonly usedBytes: number;
  get(
    key: string,
    signal: AbortSignal,
    make: (signal: AbortSignal) => Promise<CachedResult>,
  ): Promise<CachedResult>;
}

interface Making {
  readonly result: Promise<CachedResult>;
  readonly leave: AbortController;
  waiting: number;
}

/** Counted for each entry besides its bytes. */
const entryBytes = 1024;

export function createResultCache(maxBytes: number): ResultCache {
  const entries = new Map<string, CachedResult>();
  const making = new Map<string, Making>();
  let usedBytes = 0;
  const sizeOf = ({ bytes }: CachedResult) => bytes.byteLength + entryBytes;

  function keep(key: string, result: CachedResult): void {
    // One result is not worth all the others.
    if (sizeOf(result) > maxBytes / 4) return;
    entries.set(key, result);
    usedBytes += sizeOf(result);
    for (const [oldest, entry] of entries) {
      if (usedBytes <= maxBytes) return;
      entries.delete(oldest);
      usedBytes -= sizeOf(entry);
    }
  }

  function begin(key: string, make: (signal: AbortSignal) => Promise<CachedResult>): Making {
    const leave = new AbortController();
    const made: Making = {
      leave,
      waiting: 0,
      result: make(leave.signal).then(
        (result) => {
          if (making.get(key) === made) making.delete(key);
          keep(key, result);
          return result;
        },
        (error: unknown) => {
          if (making.get(key) === made) making.delete(key);
          throw error;
        },
      ),
    };
    made.result.catch(() => {});
    making.set(key, made);
    return made;
  }

  return {
    get usedBytes() {
      return usedBytes;
    },
    async get(key, signal, make) {
      signal.throwIfAborted();
      const known = entries.get(key);
      if (known !== undefined) {
        entries.delete(key);
        entries.set(key, known);
        return known;
      }
      const made = making.get(key) ?? begin(key, make);
      made.waiting += 1;
      let stop: () => void = () => {};
      const aborted = new Promise<never>((_resolve, reject) => {
        stop = () => reject(signal.reason);
        signal.addEventListener('abort', stop, { once: true });
      });
      try {
        return await Promise.race([made.result, aborted]);
      } finally {
        signal.removeEventListener('abort', stop);
        made.waiting -= 1;
        if (made.waiting === 0) {
          // Whoever comes now must not wait for what is being ended.
          if (making.get(key) === made) making.delete(key);
          made.leave.abort(signal.reason);
        }
      }
    },
  };
}
