/**
 * The threads that filter, as many as the replica has slots, so that a call that has a slot finds a thread.
 *
 * A thread is leased for a whole call: it keeps the pixels between `process` and `format`. A call that is given up
 * sets the thread's cancel flag, which stops it before its next operation; a thread that is not done within
 * `cancelGraceMs` is ended and replaced (about 0.3 s of CPU, which is why it is not the first resort). A thread is
 * replaced as well when it ends, breaks, holds a large heap (wasm memory never shrinks), has done `maxJobs` or is old.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { MeshError } from '@imagemesh/rpc';
import { FilterThread, type SpawnThread, spawnFilterThread } from './filter-thread.ts';
import type { ThreadReply, ThreadRequest } from './thread-messages.ts';

export interface ThreadPoolOptions {
  /** Threads, and calls that may wait for one. */
  readonly threads: number;
  /** How long a call that is given up may go on before its thread is ended, in ms. Default 250. */
  readonly cancelGraceMs?: number;
  /** A thread is replaced once its heap is larger than this. Default 512 MiB. */
  readonly maxHeapBytes?: number;
  /** A thread is replaced after so many requests. Default 20,000. */
  readonly maxJobs?: number;
  /** A thread is replaced after so long, in ms. Default 6 h. */
  readonly maxAgeMs?: number;
  readonly spawn?: SpawnThread;
  /** Told why a thread was replaced. */
  readonly onReplaced?: (why: ReplaceReason, error?: unknown) => void;
}

export type ReplaceReason = 'ended' | 'broken' | 'overrun' | 'heap' | 'jobs' | 'age' | 'start';

/** A thread to oneself. */
export interface ThreadLease {
  /** Rejects with the reason of the lease's signal as soon as it is aborted, else as the thread does. */
  ask(request: ThreadRequest): Promise<ThreadReply>;
  /** Gives the thread back. Resolves when it has ended what it did, or is gone. Does no harm the second time. */
  release(): Promise<void>;
}

export interface ThreadPool {
  /** Waits for a thread. REPLICA_BUSY if as many wait already as there are threads; the signal's reason on abort. */
  lease(signal: AbortSignal): Promise<ThreadLease>;
  /** Resolves once every thread has started. */
  ready(): Promise<void>;
  /** Threads that have started and not ended. */
  readonly threadCount: number;
  /** Ends all threads. */
  close(): Promise<void>;
}

interface Waiter {
  readonly give: (thread: FilterThread) => void;
  readonly fail: (error: unknown) => void;
}

const firstRetryMs = 100;
const lastRetryMs = 5000;

/** Starts the threads at once; `ready` tells when they are warm. */
export function createThreadPool({
  threads: size,
  cancelGraceMs = 250,
  maxHeapBytes = 512 * 1024 * 1024,
  maxJobs = 20_000,
  maxAgeMs = 6 * 3_600_000,
  spawn = spawnFilterThread,
  onReplaced = () => {},
}: ThreadPoolOptions): ThreadPool {
  const threads = new Set<FilterThread>();
  const idle: FilterThread[] = [];
  const waiters = new Set<Waiter>();
  const closing = new AbortController();

  async function start(): Promise<void> {
    for (let retryMs = firstRetryMs; !closing.signal.aborted; retryMs = Math.min(lastRetryMs, retryMs * 2)) {
      const thread = new FilterThread(spawn);
      threads.add(thread);
      try {
        await thread.ready;
        watch(thread);
        offer(thread);
        return;
      } catch (error) {
        threads.delete(thread);
        if (closing.signal.aborted) return;
        onReplaced('start', error);
        await sleep(retryMs, undefined, { signal: closing.signal, ref: false }).catch(() => {});
      }
    }
  }

  /** A thread that ends while nobody uses it is replaced then; one in use, when it is given back. */
  function watch(thread: FilterThread): void {
    thread.exited.then(() => {
      const index = idle.indexOf(thread);
      if (index === -1) return;
      idle.splice(index, 1);
      replace(thread, 'ended');
    });
  }

  function replace(thread: FilterThread, why: ReplaceReason): void {
    threads.delete(thread);
    if (closing.signal.aborted) return;
    onReplaced(why);
    void start();
  }

  function offer(thread: FilterThread): void {
    const [waiter] = waiters;
    if (waiter === undefined) {
      idle.push(thread);
    } else {
      waiters.delete(waiter);
      waiter.give(thread);
    }
  }

  function wornBy(thread: FilterThread): ReplaceReason | undefined {
    if (!thread.isAlive) return 'ended';
    if (thread.isBroken) return 'broken';
    if (thread.isBusy) return 'overrun';
    if (thread.heapBytes > maxHeapBytes) return 'heap';
    if (thread.jobs >= maxJobs) return 'jobs';
    return performance.now() - thread.startedMs >= maxAgeMs ? 'age' : undefined;
  }

  async function giveBack(thread: FilterThread, isClean: boolean): Promise<void> {
    if (!isClean && thread.isAlive && !thread.isBusy) await thread.ask({ kind: 'drop' }).catch(() => {});
    const why = wornBy(thread);
    if (why === undefined && !closing.signal.aborted) return offer(thread);
    await thread.stop();
    replace(thread, why ?? 'ended');
  }

  function createLease(thread: FilterThread, signal: AbortSignal): ThreadLease {
    let atWork: Promise<unknown> = Promise.resolve();
    let isClean = true;
    let released: Promise<void> | undefined;

    async function release(): Promise<void> {
      signal.removeEventListener('abort', onAbort);
      if (thread.isBusy) {
        thread.cancel();
        const timer = new AbortController();
        const graceEnds = sleep(cancelGraceMs, undefined, { signal: timer.signal }).catch(() => {});
        await Promise.race([atWork, graceEnds]);
        timer.abort();
      }
      await giveBack(thread, isClean);
    }
    const onAbort = (): void => {
      released ??= release();
    };
    // A call that is given up may never come back for its lease.
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();

    return {
      async ask(request) {
        signal.throwIfAborted();
        const reply = thread.ask(request);
        atWork = reply.catch(() => {});
        isClean = request.kind !== 'process';
        return await rejectOnAbort(reply, signal);
      },
      release() {
        released ??= release();
        return released;
      },
    };
  }

  const started = Promise.all(Array.from({ length: size }, start));

  return {
    async lease(signal) {
      signal.throwIfAborted();
      const thread = idle.shift();
      if (thread !== undefined) return createLease(thread, signal);
      if (closing.signal.aborted) throw new MeshError('REPLICA_STOPPING', 'the replica is stopping');
      if (waiters.size >= size) throw new MeshError('REPLICA_BUSY', 'every filter thread is in use');
      return createLease(await waitForThread(waiters, signal), signal);
    },
    async ready() {
      await started;
    },
    get threadCount() {
      return threads.size;
    },
    async close() {
      closing.abort();
      for (const { fail } of waiters) fail(new MeshError('REPLICA_STOPPING', 'the replica is stopping'));
      waiters.clear();
      await Promise.all([...threads].map((thread) => thread.stop()));
      threads.clear();
      idle.length = 0;
    },
  };
}

function waitForThread(waiters: Set<Waiter>, signal: AbortSignal): Promise<FilterThread> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      waiters.delete(waiter);
      reject(signal.reason);
    };
    const waiter: Waiter = {
      give(thread) {
        signal.removeEventListener('abort', onAbort);
        resolve(thread);
      },
      fail(error) {
        signal.removeEventListener('abort', onAbort);
        reject(error);
      },
    };
    signal.addEventListener('abort', onAbort, { once: true });
    waiters.add(waiter);
  });
}

function rejectOnAbort<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
