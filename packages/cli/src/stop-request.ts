/**
 * How the launcher is asked to end: SIGINT, SIGTERM, SIGHUP, and its npm dying. The first request drains; another one
 * kills. Ctrl-C under npm arrives twice within milliseconds, from the terminal and from npm, and counts once.
 */
import type { Env } from '@imagemesh/observe';

const sameRequestMs = 500;
const parentPollMs = 1000;

export interface StopRequest {
  readonly requested: AbortSignal;
  /** Aborted when asked a second time. */
  readonly insisted: AbortSignal;
}

export function listenForStop(env: Env, nowMs: () => number): StopRequest {
  const requested = new AbortController();
  const insisted = new AbortController();
  let firstMs = 0;
  const ask = (why: string) => {
    if (!requested.signal.aborted) {
      firstMs = nowMs();
      requested.abort(why);
    } else if (nowMs() - firstMs > sameRequestMs) {
      insisted.abort(why);
    }
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => ask(name));
  if (env.npm_lifecycle_event !== undefined) watchParent(() => ask('npm is gone'));
  return { requested: requested.signal, insisted: insisted.signal };
}

/** Killed with SIGKILL, npm forwards nothing; its child sees only that it has another parent. */
function watchParent(gone: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    gone();
  }, parentPollMs);
  timer.unref();
}
