/** JobService.WatchJob: a job as it is now, then each change, until its end. */
import { create } from '@bufbuild/protobuf';
import { type WatchJobRequest, type WatchJobResponse, WatchJobResponseSchema } from '@imagemesh/api';
import type { Jobs } from '../jobs/jobs.ts';
import type { Watch } from './call-shapes.ts';

export function watchJob(jobs: Jobs): Watch<WatchJobRequest, WatchJobResponse> {
  return async function* ({ jobId, afterSequence }, call) {
    for await (const job of jobs.watch(call, jobId, afterSequence))
      yield create(WatchJobResponseSchema, { job });
  };
}
