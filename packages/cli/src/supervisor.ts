/** Keeps one process running: starts it again with backoff whenever it ends unasked. */
import { type BackoffOptions, createBackoff, RESTART_BACKOFF } from './backoff.ts';
import { type Child, type ChildSpec, type Exit, type Ready, type Stream, startChild } from './child.ts';

export interface SupervisorOptions {
  readonly name: string;
  /** What to start; `life` counts from 1. */
  readonly spec: (life: number) => ChildSpec;
  readonly onLine: (line: string, stream: Stream) => void;
  /** Told when it ended unasked and starts again after waitMs. */
  readonly onRestart: (exit: Exit, waitMs: number) => void;
  readonly backoff?: BackoffOptions;
  readonly random: () => number;
  /** Milliseconds of a monotonic clock. */
  readonly nowMs: () => number;
}

export interface Supervised {
  readonly name: string;
  /** The first life's ready message; undefined when it ended before, and then it is not started again. */
  readonly ready: Promise<Ready | undefined>;
  /** Ends it for good; killed after graceMs. */
  stop(graceMs: number): Promise<void>;
}

/** Starts and keeps it. There is no limit on restarts; the backoff is the limit on their rate. */
export function supervise(options: SupervisorOptions): Supervised {
  const backoff = createBackoff(options.backoff ?? RESTART_BACKOFF, options.random);
  let isStopping = false;
  let timer: NodeJS.Timeout | undefined;
  let child: Child;
  let life = 0;

  function start(): Child {
    life += 1;
    const startedMs = options.nowMs();
    const started = startChild(options.spec(life), options.onLine);
    void started.exited.then(async (exit) => {
      const wasReady = life > 1 || (await started.ready) !== undefined;
      if (isStopping || !wasReady) return;
      const waitMs = backoff.next(options.nowMs() - startedMs);
      options.onRestart(exit, waitMs);
      timer = setTimeout(() => {
        child = start();
      }, waitMs);
    });
    return started;
  }

  child = start();
  return {
    name: options.name,
    ready: child.ready,
    async stop(graceMs) {
      isStopping = true;
      clearTimeout(timer);
      await child.stop(graceMs);
    },
  };
}
