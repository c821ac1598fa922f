/** What is written, in pieces: bounded in size and number, and ended by a signal. */
import { MeshError } from '@imagemesh/rpc';
import type { ByteSource } from './blob-store.ts';

/** Bytes written or hashed in one go; between two, the event loop runs. */
const pieceBytes = 1 << 20;

/**
 * The source in pieces of at most 1 MiB. BODY_TOO_LARGE as soon as there are more than maxBytes; the signal's reason
 * when it aborts, also while the source is silent.
 */
export async function* pieces(
  source: ByteSource,
  maxBytes: number,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  let total = 0;
  for await (const bytes of abortable(source, signal)) {
    total += bytes.byteLength;
    if (total > maxBytes) {
      throw new MeshError('BODY_TOO_LARGE', `the body is larger than ${maxBytes} bytes`, {
        metadata: { maxBytes: String(maxBytes) },
      });
    }
    for (let at = 0; at < bytes.byteLength; at += pieceBytes) {
      yield bytes.subarray(at, at + pieceBytes);
      signal?.throwIfAborted();
    }
  }
}

async function* abortable(
  source: ByteSource,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  signal?.throwIfAborted();
  if (source instanceof Uint8Array) {
    yield source;
    return;
  }
  if (signal === undefined) {
    yield* source;
    return;
  }
  let abort: () => void = () => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
  });
  aborted.catch(() => {});
  signal.addEventListener('abort', abort, { once: true });
  const iterator = source[Symbol.asyncIterator]();
  let isDone = false;
  try {
    while (true) {
      const next = await Promise.race([iterator.next(), aborted]);
      if (next.done === true) {
        isDone = true;
        return;
      }
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', abort);
    // Not awaited: a generator that hangs in its own await would never answer.
    if (!isDone) iterator.return?.()?.catch(() => {});
  }
}
