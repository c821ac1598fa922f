/** The caller's jobs: a page of the list, then every change, by one stream while the view is open. */
import type { Job, WatchJobsResponse } from '@imagemesh/api';
import { computed, type ReadonlySignal, signal } from '@preact/signals';
import type { Clients } from '../mesh/clients.ts';
import { type Failure, toFailure } from '../mesh/failure.ts';
import { type Following, follow } from '../mesh/follow.ts';
import { type Batch, createBatch } from './batch.ts';
import { FIRST_VARIANTS, type WantedVariant } from './variants.ts';

export interface JobsBoard {
  /** Newest first. */
  readonly jobs: ReadonlySignal<readonly Job[]>;
  readonly list: ReadonlySignal<ListState>;
  readonly batch: Batch;
  readonly variants: ReadonlySignal<readonly WantedVariant[]>;
  setVariants(variants: readonly WantedVariant[]): void;
  /** Lists and follows until the function it returns is called. */
  open(): () => void;
  /** The next page. */
  more(): Promise<void>;
  cancel(jobId: string): Promise<void>;
  retry(jobId: string): Promise<void>;
}

export type ListState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready'; readonly hasMore: boolean }
  | { readonly kind: 'failed'; readonly failure: Failure };

const pageSize = 50;
const maxJobs = 1000;

export function createJobsBoard(clients: Clients): JobsBoard {
  const byId = signal<ReadonlyMap<string, Job>>(new Map());
  const list = signal<ListState>({ kind: 'loading' });
  const variants = signal<readonly WantedVariant[]>(FIRST_VARIANTS);
  const jobs = computed(() => [...byId.value.values()].sort((a, b) => (a.id < b.id ? 1 : -1)));
  let pageToken = '';
  let afterRevision = 0n;

  function put(news: readonly Job[]): void {
    const next = new Map(byId.value);
    for (const job of news) {
      const known = next.get(job.id);
      if (known === undefined || known.sequence <= job.sequence) next.set(job.id, job);
    }
    const surplus = [...next.keys()].sort().slice(0, Math.max(0, next.size - maxJobs));
    for (const id of surplus) next.delete(id);
    byId.value = next;
  }

  async function page(token: string): Promise<void> {
    try {
      const { jobs: found, nextPageToken } = await clients.jobs.listJobs({ pageSize, pageToken: token });
      put(found);
      pageToken = nextPageToken;
      list.value = { kind: 'ready', hasMore: nextPageToken !== '' };
    } catch (error) {
      list.value = { kind: 'failed', failure: toFailure(error) };
    }
  }

  return {
    jobs,
    list,
    variants,
    batch: createBatch(clients, (job) => put([job])),
    setVariants(next) {
      variants.value = next;
    },
    open() {
      let isListed = false;
      const following: Following = follow<WatchJobsResponse>({
        open: (stopping) => {
          // What ended while nobody looked is in the list alone.
          if (!isListed || list.value.kind === 'failed') void page('');
          isListed = true;
          return clients.jobs.watchJobs({ afterRevision }, { signal: stopping });
        },
        onMessage({ job, revision }) {
          afterRevision = revision;
          if (job !== undefined) put([job]);
        },
      });
      return following.stop;
    },
    more: () => page(pageToken),
    async cancel(jobId) {
      const { job } = await clients.jobs.cancelJob({ jobId });
      if (job !== undefined) put([job]);
    },
    async retry(jobId) {
      const { job } = await clients.jobs.retryJob({ jobId });
      if (job !== undefined) put([job]);
    },
  };
}
