/** What is counted of jobs. */
import { timestampMs } from '@bufbuild/protobuf/wkt';
import type { Metrics } from '@imagemesh/observe';
import type { JobRecord } from './record.ts';
import { stateName } from './transitions.ts';

/** Called for each job that ends here. */
export type JobEnded = (record: JobRecord) => void;

export function createJobMeters(
  metrics: Metrics | undefined,
  { running, now }: { readonly running: () => number; readonly now: () => number },
): JobEnded {
  if (metrics === undefined) return () => {};
  const ended = metrics.histogram({
    name: 'imagemesh_gateway_job_seconds',
    help: 'Time from the creation of a job to its end, of jobs that ended in this gateway.',
    labelNames: ['state'] as const,
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600],
  });
  metrics.gauge({
    name: 'imagemesh_gateway_jobs_running',
    help: 'Jobs running in this gateway.',
    collect() {
      this.set(running());
    },
  });
  return ({ job }) => {
    const createdMs = job.createTime === undefined ? now() : timestampMs(job.createTime);
    ended.observe({ state: stateName(job.state) }, (now() - createdMs) / 1000);
  };
}
