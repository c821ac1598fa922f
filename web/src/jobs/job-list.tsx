/** The jobs, by state. */
import { JobState } from '@imagemesh/api';
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Clients } from '../mesh/clients.ts';
import { JobRow } from './job-row.tsx';
import type { JobsBoard } from './jobs-state.ts';

const filters = {
  all: { name: 'All', states: undefined },
  open: { name: 'Open', states: [JobState.QUEUED, JobState.RUNNING] },
  done: { name: 'Done', states: [JobState.SUCCEEDED] },
  failed: { name: 'Failed', states: [JobState.FAILED, JobState.CANCELLED] },
} as const satisfies Record<string, { name: string; states: readonly JobState[] | undefined }>;

type Filter = keyof typeof filters;

interface JobListProps {
  readonly board: JobsBoard;
  readonly clients: Clients;
  readonly hasKey: boolean;
  /** Shown where there are no jobs at all. */
  readonly invitation: ComponentChildren;
}

export function JobList({ board, clients, hasKey, invitation }: JobListProps) {
  const [filter, setFilter] = useState<Filter>('all');
  const nowMs = useNow();
  const jobs = board.jobs.value;
  const matching = (key: Filter) => {
    const states: readonly JobState[] | undefined = filters[key].states;
    return states === undefined ? jobs : jobs.filter(({ state }) => states.includes(state));
  };
  const shown = matching(filter);
  const { value: list } = board.list;
  return (
    <>
      <div class="panel-head">
        <h2 id="jobs-title">Jobs</h2>
        <fieldset class="segments">
          <legend class="visually-hidden">Show</legend>
          {/* A parse boundary: Object.keys forgets the type. */}
          {(Object.keys(filters) as Filter[]).map((key) => (
            <label key={key}>
              <input
                type="radio"
                name="job-filter"
                checked={key === filter}
                onChange={() => setFilter(key)}
              />
              <span>
                {filters[key].name} <span class="count">{matching(key).length}</span>
              </span>
            </label>
          ))}
        </fieldset>
      </div>
      {jobs.length === 0 && list.kind === 'ready' && invitation}
      {shown.length === 0 && (jobs.length > 0 || list.kind === 'loading') && (
        <p class="empty" role="status">
          {list.kind === 'loading' ? 'Asking for the jobs…' : 'None of the jobs is in this state.'}
        </p>
      )}
      <ul class="job-list">
        {shown.map((job) => (
          <JobRow
            key={job.id}
            {...{ job, clients, hasKey, nowMs }}
            onCancel={board.cancel}
            onRetry={board.retry}
          />
        ))}
      </ul>
      {list.kind === 'ready' && list.hasMore && (
        <button type="button" class="button" onClick={() => void board.more()}>
          Older jobs
        </button>
      )}
    </>
  );
}

function useNow(): number {
  const [nowMs, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return nowMs;
}
