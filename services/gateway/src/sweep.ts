/** Deletes temporary blobs that their owners left behind: a gateway or replica that died in the middle of a call. */
import type { Logger } from '@imagemesh/observe';
import type { BlobStore } from '@imagemesh/store';

/** No call lives as long as this. */
const maxAgeMs = 3_600_000;
const everyMs = 300_000;

export function keepSwept(store: Pick<BlobStore, 'sweepTemporaries'>, log: Logger): { stop(): void } {
  const sweep = () => {
    store.sweepTemporaries(maxAgeMs).then(
      (count) => {
        if (count > 0) log.info({ count }, 'temporary blobs swept');
      },
      (error: unknown) => log.warn({ err: error }, 'sweeping temporary blobs failed'),
    );
  };
  sweep();
  const timer = setInterval(sweep, everyMs);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
