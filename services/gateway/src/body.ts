/**
 * Holds a call's whole body before the call queues, so that no replica ever waits for a sending client: what is small
 * in memory, what is larger as a temporary blob.
 */
import { MeshError } from '@imagemesh/rpc';
import type { BlobStore } from '@imagemesh/store';
import { createHandOff, type HandOff } from './hand-off.ts';
import type { MemoryBudget } from './memory-budget.ts';

/** A body held whole. `release` gives back its memory or deletes its blob; call it once, in `finally`. */
export type HeldBody = (
  | { readonly kind: 'memory'; readonly bytes: Uint8Array }
  | { readonly kind: 'temporary'; readonly id: string }
) & { readonly sizeBytes: number; release(): Promise<void> };

export interface HoldOptions {
  /** More is BODY_TOO_LARGE. */
  readonly maxBytes: number;
  /** More goes to the store, and so does what the budget has no memory for. */
  readonly memoryBytes: number;
  /** Where known: another size is SIZE_MISMATCH. */
  readonly expectedBytes?: number | undefined;
  readonly store: Pick<BlobStore, 'putTemporary' | 'deleteTemporary'>;
  readonly budget: MemoryBudget;
  readonly signal: AbortSignal;
  /** Sees the bytes as they come, before they are held; throws what is wrong with them. */
  readonly inspect?: (bytes: Uint8Array) => void;
}

/** A body that is being received. */
export interface BodyHolder {
  /** Takes the next bytes; wait for the promise, where there is one, before the next. */
  write(bytes: Uint8Array): Promise<void> | undefined;
  /** The whole body. */
  finish(): Promise<HeldBody>;
  /** Drops what came; for `catch`. */
  abort(why: unknown): Promise<void>;
}

/** Refuses a size known beforehand. */
export function checkBodySize(sizeBytes: number, maxBytes: number): void {
  if (sizeBytes <= maxBytes) return;
  throw new MeshError('BODY_TOO_LARGE', `the body is larger than ${maxBytes} bytes`, {
    metadata: { limit: String(maxBytes) },
  });
}

/** Takes a body piece by piece. */
export function createBodyHolder(options: HoldOptions): BodyHolder {
  const { maxBytes, memoryBytes, expectedBytes, store, budget, signal, inspect } = options;
  if (expectedBytes !== undefined) checkBodySize(expectedBytes, maxBytes);
  let pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  let reserved = 0;
  const releases: (() => void)[] = [];
  let spill: Spill | undefined;

  /** Whether there is memory for so many bytes. Reserves in steps, so that many small pieces cost few calls. */
  const reserve = (bytes: number): boolean => {
    if (bytes > memoryBytes) return false;
    if (bytes <= reserved) return true;
    const step = Math.min(memoryBytes, Math.max(bytes, 2 * reserved, 65_536)) - reserved;
    try {
      releases.push(budget.take(step));
    } catch {
      return false;
    }
    reserved += step;
    return true;
  };
  const giveBack = () => {
    for (const release of releases.splice(0)) release();
    reserved = 0;
    pieces = [];
  };

  return {
    write(bytes) {
      signal.throwIfAborted();
      sizeBytes += bytes.length;
      checkBodySize(sizeBytes, maxBytes);
      if (expectedBytes !== undefined && sizeBytes > expectedBytes) throw sizeMismatch(expectedBytes);
      inspect?.(bytes);
      if (spill !== undefined) return spill.put(bytes);
      if (reserve(sizeBytes)) {
        pieces.push(bytes);
        return undefined;
      }
      spill = startSpill(store, maxBytes, signal);
      return spillPieces(spill, [...pieces, bytes], giveBack);
    },

    async finish() {
      signal.throwIfAborted();
      if (expectedBytes !== undefined && sizeBytes !== expectedBytes)
        throw sizeMismatch(expectedBytes, sizeBytes);
      if (spill === undefined) {
        const [only] = pieces;
        const bytes = pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces, sizeBytes);
        pieces = [];
        return { kind: 'memory', bytes, sizeBytes, release: async () => giveBack() };
      }
      const { id } = await spill.finish();
      return { kind: 'temporary', id, sizeBytes, release: () => store.deleteTemporary(id) };
    },

    async abort(why) {
      giveBack();
      await spill?.abort(why);
    },
  };
}

/** Holds bytes that are already in memory whole. */
export async function holdBytes(
  bytes: Uint8Array,
  options: Omit<HoldOptions, 'expectedBytes'>,
): Promise<HeldBody> {
  const holder = createBodyHolder(options);
  try {
    await holder.write(bytes);
    return await holder.finish();
  } catch (error) {
    await holder.abort(error);
    throw error;
  }
}

interface Spill {
  put(bytes: Uint8Array): Promise<void>;
  finish(): Promise<{ id: string }>;
  abort(why: unknown): Promise<void>;
}

function startSpill(store: HoldOptions['store'], maxBytes: number, signal: AbortSignal): Spill {
  const handOff: HandOff<Uint8Array> = createHandOff();
  const stored = store.putTemporary(handOff.items, { maxBytes, signal });
  // Reported by `put` and `finish`; this keeps Node from calling it unhandled in between.
  stored.catch(() => {});
  return {
    // If the store fails, it stops reading: then its error says more than "the reader has stopped".
    put: (bytes) =>
      Promise.race([handOff.put(bytes).catch(() => stored.then(() => {})), stored.then(() => {})]),
    finish() {
      handOff.end();
      return stored;
    },
    async abort(why) {
      handOff.end(why ?? new Error('aborted'));
      const blob = await stored.catch(() => undefined);
      if (blob !== undefined) await store.deleteTemporary(blob.id).catch(() => {});
    },
  };
}

async function spillPieces(spill: Spill, pieces: readonly Uint8Array[], done: () => void): Promise<void> {
  for (const piece of pieces) await spill.put(piece);
  done();
}

function sizeMismatch(expected: number, actual?: number): MeshError {
  const found = actual === undefined ? 'more came' : `${actual} came`;
  return new MeshError('SIZE_MISMATCH', `size_bytes is ${expected}, but ${found}`, {
    metadata: { size_bytes: String(expected) },
    violations: [{ field: 'size_bytes', description: found }],
  });
}
