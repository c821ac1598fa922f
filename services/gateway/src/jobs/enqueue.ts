/** Puts a job in the queue. */
import { type Job, JobPriority } from '@imagemesh/api';
import type { JobQueue, MessageContext, QueuedJob } from '@imagemesh/events';

/** A message for this life of the job; again within two minutes changes nothing. */
export async function enqueue(queue: JobQueue, job: Job, context: MessageContext): Promise<void> {
  const { trace, requestId } = context;
  await queue.enqueue(toQueued(job), `${job.id}.${job.retries}`, { trace, requestId });
}

export function toQueued({ id, priority }: Job): QueuedJob {
  switch (priority) {
    case JobPriority.HIGH:
      return { jobId: id, priority: 'high' };
    case JobPriority.LOW:
      return { jobId: id, priority: 'low' };
    default:
      return { jobId: id, priority: 'normal' };
  }
}
