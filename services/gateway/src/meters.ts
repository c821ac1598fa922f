/** What the gateway counts. */
import type { Metrics } from '@imagemesh/observe';
import type { MeshError, WireOutcome } from '@imagemesh/rpc';
import type { Admission } from './admit.ts';
import type { Front } from './front.ts';
import type { MemoryBudget } from './memory-budget.ts';

export interface Meters {
  /** A call over raw frames ended. Calls over Connect are counted by its interceptors: imagemesh_rpc_calls_total. */
  callEnded(outcome: WireOutcome): void;
  transferred(direction: 'in' | 'out', bytes: number): void;
  eventsDropped(count: number): void;
  /** A call was refused for who makes it, or how much. */
  refused(error: MeshError): void;
}

export function createMeters(
  metrics: Metrics,
  { budget, admission }: { readonly budget: MemoryBudget; readonly admission: Admission },
): Meters {
  const labelNames = ['method', 'code'] as const;
  const calls = metrics.counter({
    name: 'imagemesh_gateway_wire_calls_total',
    help: 'Calls over raw gRPC frames that ended.',
    labelNames,
  });
  const seconds = metrics.histogram({
    name: 'imagemesh_gateway_wire_seconds',
    help: 'Duration of calls over raw gRPC frames.',
    labelNames,
  });
  const bytes = metrics.counter({
    name: 'imagemesh_gateway_image_bytes_total',
    help: 'Bytes of source images taken in and results given out by transforms.',
    labelNames: ['direction'] as const,
  });
  const dropped = metrics.counter({
    name: 'imagemesh_gateway_events_dropped_total',
    help: 'Events of transforms that were not published, NATS being away; others that it did not take in time.',
  });
  const refused = metrics.counter({
    name: 'imagemesh_gateway_refused_total',
    help: 'Calls refused for their API key or its limits, by reason.',
    labelNames: ['reason'] as const,
  });
  metrics.gauge({
    name: 'imagemesh_gateway_held_bytes',
    help: 'Memory that bodies and replies take.',
    collect() {
      this.set(budget.usedBytes);
    },
  });
  metrics.gauge({
    name: 'imagemesh_gateway_transforms_in_flight',
    help: 'Transforms running now.',
    collect() {
      this.set(admission.inFlight);
    },
  });
  metrics.gauge({
    name: 'imagemesh_gateway_decoded_bytes',
    help: 'What the images of running transforms take decoded, as their headers tell.',
    collect() {
      this.set(admission.decodedBytes);
    },
  });
  return {
    callEnded({ path, error, ms }) {
      const code = error?.code ?? 'ok';
      calls.inc({ method: path, code });
      seconds.observe({ method: path, code }, ms / 1000);
    },
    transferred: (direction, count) => bytes.inc({ direction }, count),
    eventsDropped: (count) => dropped.inc(count),
    refused: ({ reason }) => refused.inc({ reason }),
  };
}

/** What waits for NATS. */
export function meterEvents(metrics: Metrics, events: { readonly waiting: number }): void {
  metrics.gauge({
    name: 'imagemesh_gateway_events_waiting',
    help: 'Events of jobs and images that NATS has not confirmed.',
    collect() {
      this.set(events.waiting);
    },
  });
}

/** What is open on the public port. */
export function meterFront(metrics: Metrics, front: Pick<Front, 'connections' | 'requests'>): void {
  metrics.gauge({
    name: 'imagemesh_gateway_connections',
    help: 'Connections open now.',
    labelNames: ['protocol'] as const,
    collect() {
      this.set({ protocol: 'http1' }, front.connections.http1);
      this.set({ protocol: 'http2' }, front.connections.http2);
    },
  });
  metrics.gauge({
    name: 'imagemesh_gateway_requests_in_flight',
    help: 'Requests and calls that have begun and are not over.',
    collect() {
      this.set(front.requests);
    },
  });
}
