/** REPLICAS, such as "resize=2,filter=2": how many replicas of each kind the launcher starts. */
import { ConfigError } from '@imagemesh/observe';

export const WORKER_KINDS = ['resize', 'filter'] as const;
export type WorkerKind = (typeof WORKER_KINDS)[number];
export type ReplicaCounts = Readonly<Record<WorkerKind, number>>;

export const DEFAULT_REPLICAS = 'resize=2,filter=2';

/** Most replicas of one kind under one launcher. */
export const MAX_REPLICAS = 64;

/** Parses the list; a kind left out has none. Throws ConfigError naming the form and the default. */
export function parseReplicaCounts(text: string): ReplicaCounts {
  const counts: Record<WorkerKind, number> = { resize: 0, filter: 0 };
  const seen = new Set<string>();
  for (const item of text.split(',').map((part) => part.trim())) {
    const [kind = '', count = ''] = item.split('=').map((part) => part.trim());
    const number = Number(count);
    const isCount = /^\d{1,3}$/.test(count) && number <= MAX_REPLICAS;
    if (item.split('=').length !== 2 || !isWorkerKind(kind) || seen.has(kind) || !isCount) {
      throw new ConfigError(
        `REPLICAS=${JSON.stringify(text)} is not valid; expected kind=count pairs of resize and filter, ` +
          `counts from 0 to ${MAX_REPLICAS} (default ${DEFAULT_REPLICAS})`,
      );
    }
    seen.add(kind);
    counts[kind] = number;
  }
  return counts;
}

export function isWorkerKind(text: string): text is WorkerKind {
  return WORKER_KINDS.some((kind) => kind === text);
}
