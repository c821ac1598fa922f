/** A page of the caller's jobs. */
import { createHash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { type ListJobsRequest, type ListJobsResponse, ListJobsResponseSchema } from '@imagemesh/api';
import { invalidField } from '@imagemesh/rpc';
import { isUlid, type RecordStore } from '@imagemesh/store';
import type { JobCall } from './create-job.ts';
import type { JobFilter, JobIndex } from './job-index.ts';
import type { JobRecord } from './record.ts';

const defaultPageSize = 50;
/** Records read at once. */
const readsAtOnce = 32;

export interface ListParts {
  readonly index: JobIndex;
  readonly records: Pick<RecordStore<JobRecord>, 'get'>;
}

/** Sees every job that was created, anywhere, before it was called. INVALID_REQUEST for a token of another list. */
export async function listJobs(
  { index, records }: ListParts,
  { owner }: JobCall,
  { pageSize, pageToken, states, labels }: ListJobsRequest,
): Promise<ListJobsResponse> {
  const filter = { owner, states, labels };
  const before = pageToken === '' ? undefined : readToken(pageToken, filter);
  await index.caughtUp();
  const page = index.page(filter, before, pageSize || defaultPageSize);
  const jobs: JobRecord[] = [];
  for (let at = 0; at < page.jobs.length; at += readsAtOnce) {
    const part = page.jobs.slice(at, at + readsAtOnce).map(({ id }) => records.get(id));
    for (const entry of await Promise.all(part)) if (entry !== undefined) jobs.push(entry.value);
  }
  return create(ListJobsResponseSchema, {
    // One may have changed, or gone, since the index saw it.
    jobs: jobs.map(({ job }) => job).filter(({ state }) => states.length === 0 || states.includes(state)),
    nextPageToken: page.next === undefined ? '' : writeToken(page.next, filter),
  });
}

function writeToken(before: string, filter: JobFilter): string {
  return Buffer.from(`${before}.${digestOf(filter)}`).toString('base64url');
}

function readToken(token: string, filter: JobFilter): string {
  const [before = '', digest] = Buffer.from(token, 'base64url').toString().split('.');
  if (!isUlid(before) || digest !== digestOf(filter))
    throw invalidField('page_token', 'must be the next_page_token of a page with the same states and labels');
  return before;
}

function digestOf({ owner, states, labels }: JobFilter): string {
  const canonical = JSON.stringify([owner, [...states].sort(), Object.entries(labels).sort()]);
  return createHash('sha256').update(canonical).digest('base64url').slice(0, 16);
}
