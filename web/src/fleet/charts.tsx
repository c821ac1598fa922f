import { countText, durationText } from '../ui/format.ts';
import { Chart } from './chart.tsx';
import type { FleetState } from './fleet-state.ts';
import { MAX_SAMPLES, type ReplicaHistory, type Track } from './history.ts';

/** Lines have as many colours. */
export const LINE_COLORS = 8;

/** The custom property with a replica's colour, the same in charts and list. */
export function lineColor(at: number): string {
  return `--series-${at % LINE_COLORS}`;
}

export function Charts({ fleet }: { fleet: FleetState }) {
  const { history } = fleet;
  const version = fleet.samples.value;
  const ids = [...history.replicas.keys()].sort();
  const lines = (pick: (of: ReplicaHistory) => Track) =>
    ids.map((label, at) => ({
      label,
      color: lineColor(at),
      values: pick(history.replicas.get(label) ?? none),
    }));
  // The window grows by whole minutes up to what is kept.
  const spanSeconds = Math.min(MAX_SAMPLES, Math.ceil(Math.max(1, history.times.length) / 60) * 60);
  const shared = { times: history.times, version, spanSeconds };
  return (
    <div class="charts">
      <Chart
        {...shared}
        title="Calls a second"
        lines={lines(({ perSecond }) => perSecond)}
        format={countText}
      />
      <Chart
        {...shared}
        title="Latency, 99th percentile"
        lines={lines(({ p99Ms }) => p99Ms)}
        format={durationText}
      />
      <Chart
        {...shared}
        title="Calls waiting"
        lines={[{ label: 'queued', color: '--accent', values: history.queued }]}
        format={countText}
      />
    </div>
  );
}

const none: ReplicaHistory = { perSecond: [], p50Ms: [], p99Ms: [], inFlight: [], state: [] };
