/** Names in the queue of jobs. */
export const JOB_STREAM = 'IMAGEMESH_JOBS';

/** First to last. */
export const PRIORITIES = ['high', 'normal', 'low'] as const;
export type Priority = (typeof PRIORITIES)[number];

/** Subject of a job's message: its own, so that it can be looked up. */
export function jobSubject(priority: Priority, jobId: string): string {
  return `imagemesh.jobs.run.${priority}.${jobId}`;
}

/** The durable consumer of a priority. */
export function consumerOf(priority: Priority): string {
  return `gateway-${priority}`;
}
