/** JobService.CreateJob: queues a job. */
import { create } from '@bufbuild/protobuf';
import { type CreateJobRequest, type CreateJobResponse, CreateJobResponseSchema } from '@imagemesh/api';
import type { Jobs } from '../jobs/jobs.ts';
import type { Unary } from './call-shapes.ts';

export function createJob(jobs: Jobs): Unary<CreateJobRequest, CreateJobResponse> {
  return async (request, call) => create(CreateJobResponseSchema, { job: await jobs.create(call, request) });
}
