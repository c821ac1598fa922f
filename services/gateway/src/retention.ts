/** How long what is stored is kept, and how much of it. docs/storage.md has the table. */
import { type Env, type EnvDoc, envBytes, envInt } from '@imagemesh/observe';

export interface Retention {
  /** Uploaded images, after the last upload; undefined: until they are deleted. */
  readonly imageTtlMs: number | undefined;
  /** Results of jobs, after they were made last; undefined: until they are deleted. */
  readonly resultTtlMs: number | undefined;
  /** Bytes that nobody has a claim on and no job needs, after they were last stored, answered with or deleted. */
  readonly unclaimedTtlMs: number;
  /** Temporary blobs and unfinished writes, after they were last written. */
  readonly temporaryTtlMs: number;
  /** Nothing that was just used is taken, whatever the budget. */
  readonly graceMs: number;
  /** Bytes of images; over it unneeded ones go at once, and without any no uploads are taken. */
  readonly maxBytes: number;
  /** Pause between sweeps. */
  readonly sweepIntervalMs: number;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const maxTtlMs = 3650 * dayMs;
const gibibyte = 1024 ** 3;

export function readRetention(env: Env): Retention {
  const ttl = (name: string, defaultMs: number, min = 1000) =>
    envInt(env, name, { default: defaultMs, min, max: maxTtlMs });
  return {
    imageTtlMs: ttl('IMAGE_TTL_MS', 0, 0) || undefined,
    resultTtlMs: ttl('RESULT_TTL_MS', 7 * dayMs, 0) || undefined,
    unclaimedTtlMs: ttl('UNCLAIMED_TTL_MS', dayMs),
    temporaryTtlMs: ttl('TEMPORARY_TTL_MS', hourMs),
    graceMs: ttl('SWEEP_GRACE_MS', hourMs),
    maxBytes: envBytes(env, 'STORE_MAX_BYTES', { default: 64 * gibibyte, min: 1 }),
    sweepIntervalMs: ttl('SWEEP_INTERVAL_MS', 300_000, 100),
  };
}

/** For --help. */
export const retentionEnvDocs: readonly EnvDoc[] = [
  {
    name: 'IMAGE_TTL_MS',
    default: '0',
    doc: 'How long uploaded images are kept; 0: until they are deleted.',
  },
  {
    name: 'RESULT_TTL_MS',
    default: '604800000',
    doc: 'How long results of jobs are kept; 0: until they are deleted.',
  },
  {
    name: 'UNCLAIMED_TTL_MS',
    default: '86400000',
    doc: 'How long bytes are kept that nobody has a claim on and no job needs.',
  },
  {
    name: 'TEMPORARY_TTL_MS',
    default: '3600000',
    doc: 'How long temporary blobs and unfinished writes are kept; longer than any call may take.',
  },
  {
    name: 'SWEEP_GRACE_MS',
    default: '3600000',
    doc: 'Nothing goes that was used this short a time ago; longer than any call may take.',
  },
  {
    name: 'STORE_MAX_BYTES',
    default: '64GiB',
    doc: 'Bytes of stored images; over it unneeded ones go at once, and with none left uploads are STORE_FULL.',
  },
  { name: 'SWEEP_INTERVAL_MS', default: '300000', doc: 'Pause between sweeps of the store.' },
];
