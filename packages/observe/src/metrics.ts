/** Prometheus metrics of one process. */
import {
  Counter,
  type CounterConfiguration,
  collectDefaultMetrics,
  Gauge,
  type GaugeConfiguration,
  Histogram,
  type HistogramConfiguration,
  Registry,
} from 'prom-client';

export type { Counter, Gauge, Histogram } from 'prom-client';

type Named<Configuration> = Omit<Configuration, 'registers'>;

/** The process's own registry and the makers of what goes in it. Names are full: `imagemesh_gateway_calls_total`. */
export interface Metrics {
  readonly registry: Registry;
  counter<Label extends string>(options: Named<CounterConfiguration<Label>>): Counter<Label>;
  gauge<Label extends string>(options: Named<GaugeConfiguration<Label>>): Gauge<Label>;
  histogram<Label extends string>(options: Named<HistogramConfiguration<Label>>): Histogram<Label>;
}

/** A registry with Node's default metrics (event-loop lag, heap, CPU); every sample is labelled with the service. */
export function createMetrics(service: string): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ service });
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    counter: (options) => new Counter({ ...options, registers }),
    gauge: (options) => new Gauge({ ...options, registers }),
    histogram: (options) => new Histogram({ ...options, registers }),
  };
}
