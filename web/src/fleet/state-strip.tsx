/** The states of a replica in the last minutes, as a strip of colours: a death is a red gap, a return ends it. */

import { replicaState } from '../mesh/names.ts';
import { MAX_SAMPLES, type ReplicaHistory, SAMPLE_MS, stateRuns } from './history.ts';

export function StateStrip({ history }: { history: ReplicaHistory | undefined }) {
  const states = history?.state ?? [];
  const runs = stateRuns(states);
  const first = MAX_SAMPLES - states.length;
  const told = runs
    .slice(-4)
    .map(
      ({ state, length }) =>
        `${state === null ? 'absent' : replicaState(state).name} for ${(length * SAMPLE_MS) / 1000} s`,
    );
  return (
    <svg
      class="strip"
      viewBox={`0 0 ${MAX_SAMPLES} 1`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`Last minutes: ${told.join(', ') || 'nothing yet'}`}
    >
      {runs.map(
        ({ state, from, length }) =>
          state !== null && (
            <rect
              key={from}
              x={first + from}
              y="0"
              width={length}
              height="1"
              data-tone={replicaState(state).tone}
            />
          ),
      )}
    </svg>
  );
}
