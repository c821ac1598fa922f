/** A resumable upload: chunk after chunk, from where the mesh says it is after a break. */

import { crc32c, type Image } from '@imagemesh/api';
import { type ReadonlySignal, signal } from '@preact/signals';
import type { Clients } from './clients.ts';
import { type Failure, toFailure } from './failure.ts';

export interface UploadState {
  readonly kind: 'sending' | 'paused' | 'waiting' | 'failed' | 'done';
  /** Bytes that the mesh holds. */
  readonly sentBytes: number;
  readonly totalBytes: number;
  /** Why it waits or has failed. */
  readonly failure: Failure | undefined;
}

export interface Upload {
  readonly state: ReadonlySignal<UploadState>;
  /** The stored image; rejects when the upload fails or is cancelled. */
  readonly image: Promise<Image>;
  pause(): void;
  /** Goes on after a pause, a wait or a failure of the connection. */
  resume(): void;
  cancel(): void;
}

const maxTries = 8;
const maxRestarts = 2;
const firstPauseMs = 500;
const lastPauseMs = 8000;
/** What went wrong on the way, and goes well another time: a chunk came in other bytes, or one before it is missing. */
const damages: ReadonlySet<string> = new Set(['DIGEST_MISMATCH', 'UPLOAD_OFFSET_INVALID']);

export function createUpload({ uploads }: Clients, bytes: Uint8Array, filename: string): Upload {
  const totalBytes = bytes.length;
  const state = signal<UploadState>({ kind: 'sending', sentBytes: 0, totalBytes, failure: undefined });
  const ending = new AbortController();
  const { signal: ended } = ending;
  let pausing = new AbortController();
  let wake = () => {};
  let uploadId = '';
  let chunkBytes = 0;
  let tries = 0;
  let restarts = 0;

  const show = (change: Partial<UploadState>) => {
    state.value = { ...state.value, failure: undefined, ...change };
  };
  const woken = (afterMs?: number) =>
    new Promise<void>((resolve) => {
      wake = resolve;
      if (afterMs !== undefined) setTimeout(resolve, afterMs);
    });

  /** Where to go on: at what the mesh holds. */
  async function begin(): Promise<number> {
    if (uploadId !== '') {
      const { persistedSize } = await uploads.queryUpload({ uploadId }, { signal: ended });
      return Number(persistedSize);
    }
    const started = await uploads.startUpload(
      { sizeBytes: BigInt(totalBytes), filename: filename.slice(0, 255) },
      { signal: ended },
    );
    uploadId = started.uploadId;
    chunkBytes = started.chunkSize;
    return 0;
  }

  async function send(): Promise<Image> {
    let at = await begin();
    show({ kind: 'sending', sentBytes: at });
    while (at < totalBytes) {
      const data = bytes.subarray(at, at + chunkBytes);
      const stop = AbortSignal.any([ended, pausing.signal]);
      const { persistedSize } = await uploads.writeChunk(
        { uploadId, writeOffset: BigInt(at), data, crc32c: crc32c(data) },
        { signal: stop },
      );
      at = Number(persistedSize);
      tries = 0;
      show({ kind: 'sending', sentBytes: at });
      stop.throwIfAborted();
    }
    const { image } = await uploads.finishUpload({ uploadId }, { signal: ended });
    if (image === undefined) throw new Error('the reply does not describe the image');
    return image;
  }

  async function run(): Promise<Image> {
    for (;;) {
      try {
        const image = await send();
        show({ kind: 'done', sentBytes: totalBytes });
        return image;
      } catch (error) {
        if (ended.aborted) throw error;
        if (pausing.signal.aborted) {
          pausing = new AbortController();
          show({ kind: 'paused' });
          await woken();
          continue;
        }
        const failure = toFailure(error);
        const mayPass =
          failure.kind === 'offline' || failure.retryAfterMs !== undefined || damages.has(failure.reason);
        if (failure.reason === 'UPLOAD_NOT_FOUND' && uploadId !== '' && restarts < maxRestarts) {
          // It took longer than uploads are kept.
          restarts++;
          uploadId = '';
          continue;
        }
        if (!mayPass) {
          show({ kind: 'failed', failure });
          throw error;
        }
        tries++;
        if (tries < maxTries) {
          show({ kind: 'waiting', failure });
          await woken(failure.retryAfterMs ?? Math.min(firstPauseMs * 2 ** tries, lastPauseMs));
        } else {
          show({ kind: 'failed', failure });
          await woken();
          tries = 0;
        }
        ended.throwIfAborted();
      }
    }
  }

  const onOnline = () => {
    // What somebody has paused stays so.
    if (state.value.kind !== 'paused') wake();
  };
  window.addEventListener('online', onOnline);
  const image = run().finally(() => window.removeEventListener('online', onOnline));
  image.catch(() => {});
  return {
    state,
    image,
    pause: () => pausing.abort(),
    resume: () => wake(),
    cancel() {
      ending.abort();
      wake();
    },
  };
}
