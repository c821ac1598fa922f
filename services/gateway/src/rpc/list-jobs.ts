/** JobService.ListJobs: a page of the caller's jobs, newest first. */
import type { ListJobsRequest, ListJobsResponse } from '@imagemesh/api';
import type { Jobs } from '../jobs/jobs.ts';
import type { Unary } from './call-shapes.ts';

export function listJobs(jobs: Jobs): Unary<ListJobsRequest, ListJobsResponse> {
  return (request, call) => jobs.list(call, request);
}
