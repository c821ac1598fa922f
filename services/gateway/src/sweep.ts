/**
 * Sweeps the store now and then: temporary blobs that their owners left behind, claims that have ended, uploads whose
 * time is over, images that nobody needs. Any number of gateways may; one that finds that another has just done it goes by its result.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger, Metrics } from '@imagemesh/observe';
import { type Store, type SweepReport, sweepImages, type Uploads } from '@imagemesh/store';
import type { Retention } from './retention.ts';

export interface SweepOptions {
  readonly store: Pick<Store, 'blobs' | 'claims' | 'entries'>;
  readonly uploads: Pick<Uploads, 'sweep'>;
  /** Images that jobs need; throws if that is not known now. */
  readonly neededByJobs: () => Promise<ReadonlySet<string>>;
  readonly retention: Retention;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly now?: () => number;
}

export interface Sweeping {
  /** Whether the store was over its budget when it was last swept, with nothing left to take. */
  readonly isFull: boolean;
  stop(): Promise<void>;
}

/** Where a sweep says what it found. */
const lastSweepKey = 'sweeps/last.json';

interface LastSweep {
  readonly timeMs: number;
  readonly images: number;
  readonly bytes: number;
}

export function keepSwept(options: SweepOptions): Sweeping {
  const { store, uploads, neededByJobs, retention, log, metrics, now = Date.now } = options;
  const ending = new AbortController();
  let last: LastSweep = { timeMs: 0, images: 0, bytes: 0 };
  const gauge = (name: string, help: string, read: () => number) =>
    metrics.gauge({
      name,
      help,
      collect() {
        this.set(read());
      },
    });
  gauge('imagemesh_gateway_store_bytes', 'Bytes of stored images at the last sweep.', () => last.bytes);
  gauge('imagemesh_gateway_store_images', 'Stored images at the last sweep.', () => last.images);
  const removed = metrics.counter({
    name: 'imagemesh_gateway_store_removed_bytes_total',
    help: 'Bytes of images that sweeps of this gateway removed.',
  });

  async function needed(): Promise<ReadonlySet<string> | undefined> {
    try {
      return await neededByJobs();
    } catch (error) {
      log.warn({ err: error }, 'no image is removed while it is not known what jobs need');
      return undefined;
    }
  }

  async function sweep(): Promise<void> {
    const recent = await readLast();
    // Somebody's clock may be ahead.
    const ageMs = Math.abs(now() - (recent?.timeMs ?? 0));
    if (recent !== undefined && ageMs < retention.sweepIntervalMs * 0.8) {
      last = recent;
      return;
    }
    const leftovers = (await store.blobs.sweepLeftovers(retention.temporaryTtlMs)) + (await uploads.sweep());
    const report = await sweepImages({
      store: store.blobs,
      claims: store.claims,
      needed,
      policy: retention,
      now,
      signal: ending.signal,
    });
    last = { timeMs: now(), images: report.images, bytes: report.bytes };
    removed.inc(report.removedBytes);
    await store.entries.replace(lastSweepKey, Buffer.from(JSON.stringify(last)));
    say(leftovers, report);
  }

  function say(leftovers: number, report: SweepReport): void {
    const isQuiet = leftovers + report.removedImages + report.expiredClaims === 0;
    log[isQuiet ? 'debug' : 'info']({ ...report, leftovers }, 'store swept');
    if (report.bytes > retention.maxBytes)
      log.warn({ bytes: report.bytes, maxBytes: retention.maxBytes }, 'the store is over STORE_MAX_BYTES');
  }

  async function readLast(): Promise<LastSweep | undefined> {
    const value = await store.entries.read(lastSweepKey);
    if (value === undefined) return undefined;
    try {
      // A parse boundary: written above, or damaged.
      const { timeMs, images, bytes } = JSON.parse(value.toString()) as LastSweep;
      return [timeMs, images, bytes].every(Number.isFinite) ? { timeMs, images, bytes } : undefined;
    } catch {
      return undefined;
    }
  }

  async function run(): Promise<void> {
    while (!ending.signal.aborted) {
      try {
        await sweep();
      } catch (error) {
        if (!ending.signal.aborted) log.warn({ err: error }, 'sweeping the store failed');
      }
      // Several gateways that started together come apart.
      const pauseMs = retention.sweepIntervalMs * (0.9 + Math.random() / 5);
      await sleep(pauseMs, undefined, { signal: ending.signal, ref: false }).catch(() => {});
    }
  }

  const running = run();
  return {
    get isFull() {
      return last.bytes > retention.maxBytes;
    },
    stop: async () => {
      ending.abort();
      await running;
    },
  };
}
