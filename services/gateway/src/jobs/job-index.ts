/**
 * The jobs as lists need them: id, owner, state, labels of each, and what work they have results of, in memory, kept up to date by the feed of records. So a
 * page of a list costs the records of that page, whatever else is in the bucket, and a watch of many jobs costs nothing in
 * the server. About 500 bytes a job of one variant; how many there are is bounded by the bucket.
 */
import type { Job, JobState } from '@imagemesh/api';
import { type Change, type RecordFeed, type RecordStore, ulidTime } from '@imagemesh/store';
import { type JobRecord, type JobSummary, jobTtlMs, readSummary } from './record.ts';
import { isFinal } from './transitions.ts';

/** A job as of a revision. */
export interface IndexedJob extends JobSummary {
  readonly id: string;
  readonly revision: number;
  readonly changedMs: number;
}

export interface JobFilter {
  /** Undefined: anybody. */
  readonly owner: string | undefined;
  /** Empty: all. */
  readonly states: readonly JobState[];
  /** All of these; empty: any. */
  readonly labels: Readonly<Record<string, string>>;
}

/** Who is told of changes. Must not throw. */
export interface JobListener {
  changed(job: IndexedJob, decode: () => Job | undefined): void;
  /** The connection to NATS was lost; nothing more comes. */
  lost(): void;
}

export interface JobIndex {
  /** Revision of the newest change seen. */
  readonly revision: number;
  /** As RecordFeed. */
  caughtUp(): Promise<void>;
  find(id: string): IndexedJob | undefined;
  /** A job that has a result of that work (see work-key.ts). */
  findWork(key: string): string | undefined;
  /** Jobs that match, newest first, of those older than `before`; looks at 20,000 at most and says where it stopped. */
  page(
    filter: JobFilter,
    before: string | undefined,
    count: number,
  ): { readonly jobs: readonly IndexedJob[]; readonly next: string | undefined };
  /** Every job that matches, in the order of their last change. */
  all(filter: JobFilter): readonly IndexedJob[];
  /** Jobs that have not ended. */
  open(): IterableIterator<IndexedJob>;
  /** Tells of changes of that job, or of all, until the function is called. */
  listen(id: string | undefined, listener: JobListener): () => void;
}

const maxLookedAt = 20_000;
/** No id of a job. */
const everyJob = '*';

export function createJobIndex(
  records: Pick<RecordStore<JobRecord>, 'follow'>,
  { signal, now }: { readonly signal: AbortSignal; readonly now: () => number },
): JobIndex {
  const jobs = new Map<string, IndexedJob>();
  const open = new Map<string, IndexedJob>();
  /** Ids of each owner, oldest first. */
  const owners = new Map<string, string[]>();
  /** Everybody's, oldest first. */
  const everyId: string[] = [];
  /** By key of the work: the last job that finished it. */
  const works = new Map<string, string>();
  const listeners = new Map<string, Set<JobListener>>();
  let revision = 0;

  const feed: RecordFeed = records.follow(
    {
      reset() {
        revision = 0;
        for (const all of [jobs, open, owners, works]) all.clear();
        everyId.length = 0;
      },
      change(change) {
        revision = change.revision;
        const job = toIndexed(change);
        if (job === undefined) return forget(change.key);
        if (!jobs.has(job.id)) for (const ids of [idsOf(job.owner), everyId]) insert(ids, job.id);
        jobs.set(job.id, job);
        for (const key of job.done ?? []) works.set(key, job.id);
        if (isFinal(job.state)) open.delete(job.id);
        else open.set(job.id, job);
        const decode = () => change.decode()?.job;
        for (const key of [job.id, everyJob])
          for (const listener of listeners.get(key) ?? []) listener.changed(job, decode);
      },
      lost() {
        for (const those of listeners.values()) for (const listener of those) listener.lost();
      },
    },
    signal,
  );

  function idsOf(owner: string): string[] {
    const ids = owners.get(owner) ?? [];
    owners.set(owner, ids);
    dropExpired(ids);
    return ids;
  }

  /** The server drops a record without a word when its time is over. */
  function dropExpired(ids: string[]): void {
    const first = ids[0];
    const changedMs = first === undefined ? undefined : (jobs.get(first)?.changedMs ?? ulidTime(first));
    if (first !== undefined && changedMs !== undefined && changedMs + jobTtlMs < now()) forget(first);
  }

  function forget(id: string): void {
    const { owner = '', done = [] } = jobs.get(id) ?? {};
    for (const key of done) if (works.get(key) === id) works.delete(key);
    for (const ids of [owners.get(owner) ?? [], everyId]) {
      const at = lowerBound(ids, id);
      if (ids[at] === id) ids.splice(at, 1);
    }
    jobs.delete(id);
    open.delete(id);
  }

  return {
    get revision() {
      return revision;
    },
    caughtUp: () => feed.caughtUp(),
    find: (id) => jobs.get(id),
    findWork: (key) => works.get(key),
    page(filter, before, count) {
      const ids = filter.owner === undefined ? everyId : (owners.get(filter.owner) ?? []);
      const end = before === undefined ? ids.length : lowerBound(ids, before);
      const found: IndexedJob[] = [];
      for (let at = end - 1; at >= 0; at -= 1) {
        const job = jobs.get(ids[at] ?? '');
        if (job !== undefined && matches(job, filter)) found.push(job);
        const isEnough = found.length === count || end - at === maxLookedAt;
        if (isEnough) return { jobs: found, next: at === 0 ? undefined : ids[at] };
      }
      return { jobs: found, next: undefined };
    },
    all: (filter) =>
      (filter.owner === undefined ? everyId : (owners.get(filter.owner) ?? []))
        .flatMap((id) => jobs.get(id) ?? [])
        .filter((job) => matches(job, filter))
        .sort((a, b) => a.revision - b.revision),
    open: () => open.values(),
    listen(id, listener) {
      const key = id ?? everyJob;
      const those = listeners.get(key) ?? new Set();
      listeners.set(key, those.add(listener));
      return () => {
        those.delete(listener);
        if (those.size === 0) listeners.delete(key);
      };
    },
  };
}

export function matches({ owner, state, labels }: JobSummary, filter: JobFilter): boolean {
  if (filter.owner !== undefined && owner !== filter.owner) return false;
  if (filter.states.length > 0 && !filter.states.includes(state)) return false;
  return Object.entries(filter.labels).every(
    ([name, value]) => Object.hasOwn(labels, name) && labels[name] === value,
  );
}

function toIndexed({ key, revision, bytes, timeMs }: Change<JobRecord>): IndexedJob | undefined {
  const summary = bytes && readSummary(bytes);
  return summary && { ...summary, id: key, revision, changedMs: timeMs };
}

/** Where the id is in the ordered list, or would be. Nearly always at its end. */
function lowerBound(ids: readonly string[], id: string): number {
  if (id > (ids.at(-1) ?? '')) return ids.length;
  let [low, high] = [0, ids.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ids[middle] ?? '') < id) low = middle + 1;
    else high = middle;
  }
  return low;
}

function insert(ids: string[], id: string): void {
  ids.splice(lowerBound(ids, id), 0, id);
}
