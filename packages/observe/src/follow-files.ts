/** Tells when files change: replaced, rewritten, or another target behind a link. Asks every second, which works everywhere. */
import { type Stats, unwatchFile, watchFile } from 'node:fs';

export interface FollowFilesOptions {
  /** Runs once for changes that come together; not at the same time twice. */
  readonly onChange: () => Promise<void>;
  /** What onChange threw. */
  readonly onError: (error: unknown) => void;
  /** Default 1000. */
  readonly everyMs?: number;
}

/** How long files may take to all be replaced: a certificate and its key are two. */
const settleMs = 100;

export function followFiles(
  paths: readonly string[],
  { onChange, onError, everyMs = 1000 }: FollowFilesOptions,
): { close(): void } {
  let timer: NodeJS.Timeout | undefined;
  let running = Promise.resolve();
  const run = () => {
    running = running.then(onChange).catch(onError);
  };
  const onStat = (now: Stats, before: Stats) => {
    const isSame = now.mtimeMs === before.mtimeMs && now.ino === before.ino && now.size === before.size;
    if (isSame) return;
    clearTimeout(timer);
    timer = setTimeout(run, settleMs).unref();
  };
  for (const path of paths) watchFile(path, { interval: everyMs, persistent: false }, onStat);
  return {
    close() {
      clearTimeout(timer);
      for (const path of paths) unwatchFile(path, onStat);
    },
  };
}
