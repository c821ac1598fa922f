/** One worker thread: started, asked one thing at a time, stopped. */
import { Worker } from 'node:worker_threads';
import { MeshError } from '@imagemesh/rpc';
import {
  type ThreadData,
  type ThreadEnvelope,
  type ThreadReply,
  type ThreadRequest,
  transferOf,
  unpackError,
} from './thread-messages.ts';

/** Starts a worker on `thread.ts` (or, in tests of the pool, on something worse). */
export type SpawnThread = (data: ThreadData) => Worker;

interface Pending {
  resolve(reply: ThreadReply): void;
  reject(error: unknown): void;
}

/** Starts `thread.ts` as it lies beside this file: compiled, or as TypeScript under vitest and tsx. */
export function spawnFilterThread(workerData: ThreadData): Worker {
  if (!import.meta.url.endsWith('.ts')) {
    return new Worker(new URL('./thread.js', import.meta.url), { workerData, name: 'filter' });
  }
  // `--import tsx` does nothing in a worker thread (privatenumber/tsx#354): the thread registers the loader itself.
  const entry = new URL('./thread.ts', import.meta.url).href;
  const script = `import('tsx/esm/api').then(({ register }) => { register(); return import('${entry}'); })`;
  return new Worker(script, { eval: true, workerData, name: 'filter', execArgv: ['--conditions=source'] });
}

export class FilterThread {
  /** Settles once the thread can take requests; rejects if it ends before. */
  readonly ready: Promise<void>;
  /** Resolves once the thread is gone. */
  readonly exited: Promise<void>;
  /** By performance.now(). */
  readonly startedMs = performance.now();
  readonly #worker: Worker;
  readonly #cancelFlag: Int32Array;
  #pending: Pending | undefined;
  #failure: unknown;
  #isAlive = true;
  #isBroken = false;
  #heapBytes = 0;
  #jobs = 0;

  constructor(spawn: SpawnThread) {
    const cancelFlag = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    this.#cancelFlag = new Int32Array(cancelFlag);
    this.#worker = spawn({ cancelFlag });
    this.ready = new Promise((resolve, reject) => {
      this.#pending = { resolve: () => resolve(), reject };
    });
    this.exited = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        this.#isAlive = false;
        this.#settle()?.reject(this.#endedError(code));
        resolve();
      });
    });
    this.#worker.on('error', (error) => {
      this.#failure = error;
    });
    // What thread.ts posts.
    this.#worker.on('message', (envelope: ThreadEnvelope) => this.#receive(envelope));
  }

  /** A request is at work, or the thread is not ready yet. */
  get isBusy(): boolean {
    return this.#pending !== undefined;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Its last failure was one after which its OpenCV cannot be trusted. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Size of its wasm heap after the last request. */
  get heapBytes(): number {
    return this.#heapBytes;
  }

  /** Requests answered. */
  get jobs(): number {
    return this.#jobs;
  }

  /** Asks one thing. Rejects with the thread's MeshError, or INTERNAL if the thread ends meanwhile. */
  ask(request: ThreadRequest): Promise<ThreadReply> {
    if (!this.#isAlive) return Promise.reject(this.#endedError(undefined));
    if (this.isBusy) return Promise.reject(new Error('a filter thread does one thing at a time'));
    Atomics.store(this.#cancelFlag, 0, 0);
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      const transfer = request.kind === 'process' ? transferOf(request.source.bytes) : [];
      this.#worker.postMessage(request, transfer);
    });
  }

  /** Asks the thread to give the request up; it looks between two operations. */
  cancel(): void {
    Atomics.store(this.#cancelFlag, 0, 1);
  }

  /** Ends the thread, whatever it does; what libuv's pool does for it is still waited for. */
  async stop(): Promise<void> {
    await this.#worker.terminate();
    await this.exited;
  }

  #receive({ reply, heapBytes }: ThreadEnvelope): void {
    this.#heapBytes = heapBytes;
    const pending = this.#settle();
    if (reply.kind !== 'failed') {
      this.#jobs += 1;
      pending?.resolve(reply);
    } else {
      this.#isBroken ||= reply.isBroken;
      pending?.reject(unpackError(reply.error));
    }
  }

  #settle(): Pending | undefined {
    const pending = this.#pending;
    this.#pending = undefined;
    return pending;
  }

  #endedError(code: number | undefined): MeshError {
    const cause =
      this.#failure ?? new Error(`the filter thread ended${code === undefined ? '' : ` with code ${code}`}`);
    return new MeshError('INTERNAL', 'the filter ended unexpectedly', { cause });
  }
}
