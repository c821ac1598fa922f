/** JobService.WatchJobs: the caller's jobs at each change, by id, by label, or all. */
import type { WatchJobsRequest, WatchJobsResponse } from '@imagemesh/api';
import type { Jobs } from '../jobs/jobs.ts';
import type { Watch } from './call-shapes.ts';

export function watchJobs(jobs: Jobs): Watch<WatchJobsRequest, WatchJobsResponse> {
  return (request, call) => jobs.watchMany(call, request);
}
