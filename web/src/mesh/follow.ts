/** A stream that is opened again when it breaks, for as long as somebody follows it. */
import { type ReadonlySignal, signal } from '@preact/signals';
import { type Failure, toFailure } from './failure.ts';

export type LinkState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  | { readonly kind: 'lost'; readonly failure: Failure; readonly retryAtMs: number };

export interface Following {
  readonly state: ReadonlySignal<LinkState>;
  /** Tries at once instead of at the end of the pause. */
  retryNow(): void;
  stop(): void;
}

export interface FollowOptions<T> {
  readonly open: (signal: AbortSignal) => AsyncIterable<T>;
  readonly onMessage: (message: T) => void;
  /** Pauses double from the first to the last, in ms. */
  readonly firstPauseMs?: number;
  readonly lastPauseMs?: number;
}

export function follow<T>(options: FollowOptions<T>): Following {
  const { open, onMessage, firstPauseMs = 500, lastPauseMs = 8000 } = options;
  const state = signal<LinkState>({ kind: 'connecting' });
  const ending = new AbortController();
  let wake = () => {};
  const retryNow = () => wake();

  async function run(): Promise<void> {
    let pauseMs = firstPauseMs;
    while (!ending.signal.aborted) {
      try {
        for await (const message of open(ending.signal)) {
          pauseMs = firstPauseMs;
          state.value = { kind: 'live' };
          onMessage(message);
        }
        throw new TypeError('the stream ended');
      } catch (error) {
        if (ending.signal.aborted) return;
        const failure = toFailure(error);
        state.value = { kind: 'lost', failure, retryAtMs: Date.now() + pauseMs };
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
        setTimeout(resolve, pauseMs);
      });
      pauseMs = Math.min(pauseMs * 2, lastPauseMs);
    }
  }

  window.addEventListener('online', retryNow);
  void run();
  return {
    state,
    retryNow,
    stop() {
      ending.abort();
      window.removeEventListener('online', retryNow);
      wake();
    },
  };
}
