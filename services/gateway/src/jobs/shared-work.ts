/** Work that several want at the same time is done once. It ends early only when nobody wants it any more. */
import { MeshError } from '@imagemesh/rpc';

/** Resolves with the work's result; rejects with its error, or with the caller's own signal. */
export type Share<Result> = (
  key: string,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<Result>,
) => Promise<Result>;

interface Shared<Result> {
  readonly result: Promise<Result>;
  readonly ending: AbortController;
  callers: number;
}

export function createSharedWork<Result>(): Share<Result> {
  const running = new Map<string, Shared<Result>>();

  function begin(key: string, work: (signal: AbortSignal) => Promise<Result>): Shared<Result> {
    const ending = new AbortController();
    const shared: Shared<Result> = {
      ending,
      callers: 0,
      result: work(ending.signal).finally(() => forget(key, shared)),
    };
    // Those who wait for it hear of it; there may be none left.
    shared.result.catch(() => {});
    running.set(key, shared);
    return shared;
  }

  function forget(key: string, shared: Shared<Result>): void {
    if (running.get(key) === shared) running.delete(key);
  }

  return async (key, signal, work) => {
    signal.throwIfAborted();
    const shared = running.get(key) ?? begin(key, work);
    shared.callers += 1;
    let stop: () => void = () => {};
    const left = new Promise<never>((_, reject) => {
      stop = () => reject(signal.reason);
      signal.addEventListener('abort', stop, { once: true });
    });
    try {
      return await Promise.race([shared.result, left]);
    } finally {
      signal.removeEventListener('abort', stop);
      shared.callers -= 1;
      // It has ended, or goes on for others; if not, whoever comes now begins anew.
      if (shared.callers === 0 && running.get(key) === shared) {
        forget(key, shared);
        shared.ending.abort(new MeshError('CANCELLED', 'nobody wants this work any more'));
      }
    }
  };
}
