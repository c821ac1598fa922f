/** Files on their way to becoming jobs: some at a time, each uploaded if it is large, then queued. */
import { create } from '@bufbuild/protobuf';
import { type ImageSource, ImageSourceSchema, type Job, type Variant } from '@imagemesh/api';
import { type ReadonlySignal, signal } from '@preact/signals';
import type { Clients } from '../mesh/clients.ts';
import { type Failure, toFailure } from '../mesh/failure.ts';
import { createUpload, type Upload } from '../mesh/upload.ts';

export interface BatchFile {
  readonly id: number;
  readonly name: string;
  readonly sizeBytes: number;
  readonly state:
    | { readonly kind: 'waiting' }
    | { readonly kind: 'sending'; readonly upload: Upload | undefined }
    | { readonly kind: 'failed'; readonly failure: Failure };
}

export interface Batch {
  /** Those that have not become jobs. */
  readonly files: ReadonlySignal<readonly BatchFile[]>;
  /** Why none is sent at the moment: the mesh is away, or full. It goes on by itself. */
  readonly held: ReadonlySignal<Failure | undefined>;
  add(files: readonly File[], variants: readonly Variant[]): void;
  retry(id: number): void;
  dismiss(id: number): void;
}

/** Of the six connections that a browser has for an origin, streams take two. */
const atOnce = 2;
/** Larger files are stored first, resumably. */
const inlineBytesMax = 1024 * 1024;
const maxFiles = 500;
/** Pauses while the mesh is away double from the first to the last, in ms. */
const firstPauseMs = 500;
const lastPauseMs = 8000;

interface Task {
  readonly file: File;
  readonly variants: readonly Variant[];
  /** The same for every try, so that a file becomes one job. */
  readonly requestId: string;
}

export function createBatch(clients: Clients, onJob: (job: Job) => void): Batch {
  const files = signal<readonly BatchFile[]>([]);
  const tasks = new Map<number, Task>();
  let nextId = 0;
  let running = 0;
  const held = signal<Failure | undefined>(undefined);
  let pauseMs = firstPauseMs;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const set = (id: number, state: BatchFile['state']) => {
    files.value = files.value.map((file) => (file.id === id ? { ...file, state } : file));
  };
  const drop = (id: number) => {
    tasks.delete(id);
    files.value = files.value.filter((file) => file.id !== id);
  };

  async function work(id: number, { file, variants, requestId }: Task): Promise<void> {
    try {
      const source = await sourceOf(id, file);
      const labels = { file: file.name.slice(0, 255) };
      const { job } = await clients.jobs.createJob({ requestId, source, variants: [...variants], labels });
      drop(id);
      pauseMs = firstPauseMs;
      if (job !== undefined) onJob(job);
    } catch (error) {
      const failure = toFailure(error);
      if (!tasks.has(id)) return;
      const mayPass = failure.kind === 'offline' || failure.retryAfterMs !== undefined;
      set(id, mayPass ? { kind: 'waiting' } : { kind: 'failed', failure });
      if (mayPass) hold(failure);
    }
  }

  async function sourceOf(id: number, file: File): Promise<ImageSource> {
    const bytes = new Uint8Array(await file.arrayBuffer());
    if (bytes.length > inlineBytesMax) {
      const upload = createUpload(clients, bytes, file.name);
      set(id, { kind: 'sending', upload });
      try {
        const { id: imageId } = await upload.image;
        return create(ImageSourceSchema, { source: { case: 'imageId', value: imageId } });
      } catch (error) {
        // A gateway without resumable uploads takes the bytes in the call.
        if (toFailure(error).kind !== 'unserved') throw error;
      }
    }
    return create(ImageSourceSchema, { source: { case: 'data', value: bytes } });
  }

  function hold(failure: Failure): void {
    if (held.value !== undefined) return;
    held.value = failure;
    timer = setTimeout(goOn, failure.retryAfterMs ?? pauseMs);
    pauseMs = Math.min(2 * pauseMs, lastPauseMs);
  }

  function goOn(): void {
    clearTimeout(timer);
    held.value = undefined;
    next();
  }

  window.addEventListener('online', goOn);

  function next(): void {
    while (running < atOnce && held.value === undefined) {
      const waiting = files.value.find(({ state }) => state.kind === 'waiting');
      const task = waiting && tasks.get(waiting.id);
      if (waiting === undefined || task === undefined) return;
      running++;
      set(waiting.id, { kind: 'sending', upload: undefined });
      void work(waiting.id, task).finally(() => {
        running--;
        next();
      });
    }
  }

  return {
    files,
    held,
    add(added, variants) {
      const room = added.slice(0, Math.max(0, maxFiles - files.value.length));
      for (const file of room) tasks.set(nextId++, { file, variants, requestId: randomId() });
      const first = nextId - room.length;
      files.value = [
        ...files.value,
        ...room.map(
          ({ name, size }, at): BatchFile => ({
            id: first + at,
            name,
            sizeBytes: size,
            state: { kind: 'waiting' },
          }),
        ),
      ];
      next();
    },
    retry(id) {
      set(id, { kind: 'waiting' });
      next();
    },
    dismiss: drop,
  };
}

/** crypto.randomUUID is there on secure origins only. */
function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');
}
