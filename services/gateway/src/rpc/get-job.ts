/** JobService.GetJob: a job as it is now. */
import { create } from '@bufbuild/protobuf';
import { type GetJobRequest, type GetJobResponse, GetJobResponseSchema } from '@imagemesh/api';
import type { Jobs } from '../jobs/jobs.ts';
import type { Unary } from './call-shapes.ts';

export function getJob(jobs: Jobs): Unary<GetJobRequest, GetJobResponse> {
  return async ({ jobId }, call) => create(GetJobResponseSchema, { job: await jobs.get(call, jobId) });
}
