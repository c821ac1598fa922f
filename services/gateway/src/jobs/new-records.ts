/**
 * Records of small jobs that this gateway made a moment ago, so that a run here begins without reading them. One that has
 * changed since is found out by the run's first write, a compare-and-set.
 */
import type { Entry } from '@imagemesh/store';
import type { JobRecord } from './record.ts';

export interface NewRecords {
  /** `bytes` of its variants as JSON: large ones are not kept. */
  keep(entry: Entry<JobRecord>, bytes: number): void;
  /** Once. */
  take(jobId: string): Entry<JobRecord> | undefined;
}

const maxRecords = 1024;
const maxBytesEach = 4096;

export function createNewRecords(): NewRecords {
  const kept = new Map<string, Entry<JobRecord>>();
  return {
    keep(entry, bytes) {
      if (bytes > maxBytesEach) return;
      kept.set(entry.value.job.id, entry);
      // The oldest goes: another gateway may have run it.
      const [oldest] = kept.keys();
      if (kept.size > maxRecords && oldest !== undefined) kept.delete(oldest);
    },
    take(jobId) {
      const entry = kept.get(jobId);
      kept.delete(jobId);
      return entry;
    },
  };
}
