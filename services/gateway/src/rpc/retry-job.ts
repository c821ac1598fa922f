/** JobService.RetryJob: queues a job again that has failed or was cancelled. */
import { create } from '@bufbuild/protobuf';
import { type RetryJobRequest, type RetryJobResponse, RetryJobResponseSchema } from '@imagemesh/api';
import type { Jobs } from '../jobs/jobs.ts';
import type { Unary } from './call-shapes.ts';

export function retryJob(jobs: Jobs): Unary<RetryJobRequest, RetryJobResponse> {
  return async ({ jobId }, call) => create(RetryJobResponseSchema, { job: await jobs.retry(call, jobId) });
}
