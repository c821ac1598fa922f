/** A page of the caller's jobs, or for an admin of anybody's. */
import { createHash } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  type Job,
  JobSchema,
  type ListJobsRequest,
  type ListJobsResponse,
  ListJobsResponseSchema,
} from '@imagemesh/api';
import { invalidField } from '@imagemesh/rpc';
import { isUlid, type RecordStore } from '@imagemesh/store';
import { checkAdmin } from '../identity/check-admin.ts';
import type { JobCall } from './create-job.ts';
import type { IndexedJob, JobFilter, JobIndex } from './job-index.ts';
import type { JobRecord } from './record.ts';

const defaultPageSize = 50;
/** Stands for all owners. */
const everybody = '*';
/** Records read at once. */
const readsAtOnce = 16;
/** A page ends before it is more; gRPC clients refuse 4 MiB. */
const maxPageBytes = 3_000_000;

export interface ListParts {
  readonly index: JobIndex;
  readonly records: Pick<RecordStore<JobRecord>, 'get'>;
}

/**
 * Sees every job that was created, anywhere, before it was called. INVALID_REQUEST for a token of another list,
 * SCOPE_MISSING for an owner that is not the caller's to ask for.
 */
export async function listJobs(
  { index, records }: ListParts,
  call: JobCall,
  { pageSize, pageToken, states, labels, owner }: ListJobsRequest,
): Promise<ListJobsResponse> {
  const filter = { owner: ownerFor(call, owner), states, labels };
  const before = pageToken === '' ? undefined : readToken(pageToken, filter);
  await index.caughtUp();
  const page = index.page(filter, before, pageSize || defaultPageSize);
  const { jobs, isCut } = await readJobs(records, page.jobs);
  const next = isCut ? jobs.at(-1)?.id : page.next;
  return create(ListJobsResponseSchema, {
    // One may have changed since the index saw it.
    jobs: jobs.filter(({ state }) => states.length === 0 || states.includes(state)),
    nextPageToken: next === undefined ? '' : writeToken(next, filter),
  });
}

/** Undefined: everybody. */
function ownerFor({ owner, caller }: JobCall, wanted: string): string | undefined {
  if (wanted === '' || wanted === owner) return owner;
  checkAdmin(caller, 'lists the jobs of others');
  return wanted === everybody ? undefined : wanted;
}

/** The jobs, or as many of the first of them as a page may hold. */
async function readJobs(
  records: ListParts['records'],
  listed: readonly IndexedJob[],
): Promise<{ readonly jobs: readonly Job[]; readonly isCut: boolean }> {
  const jobs: Job[] = [];
  let bytes = 0;
  for (let at = 0; at < listed.length; at += readsAtOnce) {
    const part = listed.slice(at, at + readsAtOnce).map(({ id }) => records.get(id));
    for (const entry of await Promise.all(part)) {
      // It may have gone since the index saw it.
      if (entry === undefined) continue;
      const { job } = entry.value;
      bytes += toBinary(JobSchema, job).length;
      if (jobs.length > 0 && bytes > maxPageBytes) return { jobs, isCut: true };
      jobs.push(job);
    }
  }
  return { jobs, isCut: false };
}

function writeToken(before: string, filter: JobFilter): string {
  return Buffer.from(`${before}.${digestOf(filter)}`).toString('base64url');
}

function readToken(token: string, filter: JobFilter): string {
  const [before = '', digest] = Buffer.from(token, 'base64url').toString().split('.');
  if (!isUlid(before) || digest !== digestOf(filter))
    throw invalidField(
      'page_token',
      'must be the next_page_token of a page with the same states, labels and owner',
    );
  return before;
}

function digestOf({ owner, states, labels }: JobFilter): string {
  const canonical = JSON.stringify([owner ?? everybody, [...states].sort(), Object.entries(labels).sort()]);
  return createHash('sha256').update(canonical).digest('base64url').slice(0, 16);
}
