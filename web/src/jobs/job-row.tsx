/** One job: how far it is, what came out, why it failed. */
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { type Job, JobState } from '@imagemesh/api';
import { useState } from 'preact/hooks';
import type { Clients } from '../mesh/clients.ts';
import { type Failure, toFailure } from '../mesh/failure.ts';
import { jobState } from '../mesh/names.ts';
import { agoText, durationText } from '../ui/format.ts';
import { Results } from './results.tsx';

interface JobRowProps {
  readonly job: Job;
  readonly clients: Clients;
  readonly hasKey: boolean;
  readonly nowMs: number;
  readonly onCancel: (jobId: string) => Promise<void>;
  readonly onRetry: (jobId: string) => Promise<void>;
}

export function JobRow({ job, clients, hasKey, nowMs, onCancel, onRetry }: JobRowProps) {
  const [failure, setFailure] = useState<Failure | undefined>(undefined);
  const { state, results, variants } = job;
  const { name: stateName, tone } = jobState(state);
  const isOpen = state === JobState.QUEUED || state === JobState.RUNNING;
  const mayRetry = state === JobState.FAILED || state === JobState.CANCELLED;
  const name = job.labels.file ?? job.sourceImageId.slice(0, 12);
  const act = (what: (jobId: string) => Promise<void>) => async () => {
    setFailure(undefined);
    await what(job.id).catch((error: unknown) => setFailure(toFailure(error)));
  };
  return (
    <li class="card job" data-testid={`job-${job.id}`} data-state={stateName.toLowerCase()}>
      <div class="job-head">
        <h3 class="ellipsis" title={`${name} (${job.id})`}>
          {name}
        </h3>
        <span class="badge" data-tone={tone}>
          {stateName}
        </span>
      </div>
      <div class="job-line">
        <span class="soft">{timeText(job, nowMs)}</span>
        {isOpen && (
          <button type="button" class="button small" aria-label={`Cancel ${name}`} onClick={act(onCancel)}>
            Cancel
          </button>
        )}
        {mayRetry && (
          <button type="button" class="button small" aria-label={`Retry ${name}`} onClick={act(onRetry)}>
            Retry
          </button>
        )}
      </div>
      {isOpen && (
        <div class="job-progress">
          <progress max={variants.length} value={results.length} aria-label={`Results of ${name}`} />
          <span class="soft">
            {results.length} of {variants.length}
            {job.attempts > 1 ? ` · try ${job.attempts}` : ''}
          </span>
        </div>
      )}
      {job.error !== undefined && job.error.message !== '' && (
        <p class="bad" role="status">
          {job.error.message}
        </p>
      )}
      {failure && (
        <p class="bad" role="alert">
          {failure.message}
        </p>
      )}
      {results.length > 0 && <Results job={job} clients={clients} hasKey={hasKey} />}
    </li>
  );
}

function timeText({ createTime, startTime, endTime }: Job, nowMs: number): string {
  if (createTime === undefined) return '';
  const createdMs = timestampMs(createTime);
  if (endTime === undefined)
    return startTime === undefined ? `waiting ${durationText(Math.max(0, nowMs - createdMs))}` : 'working';
  return `in ${durationText(timestampMs(endTime) - createdMs)} · ${agoText(timestampMs(endTime), nowMs)}`;
}
