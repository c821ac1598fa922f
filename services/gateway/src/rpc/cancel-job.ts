/** JobService.CancelJob: ends a job that has not ended. */
import { create } from '@bufbuild/protobuf';
import { type CancelJobRequest, type CancelJobResponse, CancelJobResponseSchema } from '@imagemesh/api';
import type { Jobs } from '../jobs/jobs.ts';
import type { Unary } from './call-shapes.ts';

export function cancelJob(jobs: Jobs): Unary<CancelJobRequest, CancelJobResponse> {
  return async ({ jobId }, call) => create(CancelJobResponseSchema, { job: await jobs.cancel(call, jobId) });
}
