/** grpc.health.v1 (https://github.com/grpc/grpc/blob/master/doc/health-checking.md) on Connect. */
import { Code, ConnectError, type ConnectRouter } from '@connectrpc/connect';
import { health } from '@imagemesh/api';

type ServingStatus = health.HealthCheckResponse_ServingStatus;
const { HealthCheckResponse_ServingStatus: Serving } = health;

export interface Health {
  /** "" is the whole server. Names that were not given at the start are added. */
  set(service: string, isServing: boolean): void;
  isServing(service: string): boolean;
  routes(router: ConnectRouter): void;
  /** Everything NOT_SERVING for good; each Watch hears of it and ends, so that the server can close. */
  shutdown(): void;
}

/** Watches at once; more are RESOURCE_EXHAUSTED. */
const maxWatches = 1000;

/** Health of the server ("") and of each service, all NOT_SERVING until set. */
export function createHealth(serviceNames: readonly string[]): Health {
  const statuses = new Map<string, ServingStatus>(
    ['', ...serviceNames].map((name) => [name, Serving.NOT_SERVING]),
  );
  const watches = new Set<() => void>();
  let isShutDown = false;
  const changed = () => {
    for (const wake of watches) wake();
  };

  async function* watch(service: string, signal: AbortSignal) {
    if (watches.size >= maxWatches) throw new ConnectError('too many health watches', Code.ResourceExhausted);
    let wake = () => {};
    const onChange = () => wake();
    watches.add(onChange);
    signal.addEventListener('abort', onChange);
    try {
      let last: ServingStatus | undefined;
      while (!signal.aborted) {
        const status = statuses.get(service) ?? Serving.SERVICE_UNKNOWN;
        // Armed before the yield: a change while the client reads is not missed.
        const next = new Promise<void>((resolve) => {
          wake = resolve;
        });
        if (status !== last) {
          last = status;
          yield { status };
          if ((statuses.get(service) ?? Serving.SERVICE_UNKNOWN) !== last) continue;
        }
        if (isShutDown) return;
        await next;
      }
    } finally {
      watches.delete(onChange);
      signal.removeEventListener('abort', onChange);
    }
  }

  return {
    set: (service, isServing) => {
      if (isShutDown) return;
      statuses.set(service, isServing ? Serving.SERVING : Serving.NOT_SERVING);
      changed();
    },
    isServing: (service) => statuses.get(service) === Serving.SERVING,
    routes: (router) => {
      router.service(health.Health, {
        check: ({ service }) => {
          const status = statuses.get(service);
          if (status === undefined)
            throw new ConnectError(`no service ${JSON.stringify(service.slice(0, 100))} here`, Code.NotFound);
          return { status };
        },
        list: () => ({
          statuses: Object.fromEntries([...statuses].map(([name, status]) => [name, { status }])),
        }),
        watch: ({ service }, context) => watch(service, context.signal),
      });
    },
    shutdown: () => {
      isShutDown = true;
      for (const service of statuses.keys()) statuses.set(service, Serving.NOT_SERVING);
      changed();
    },
  };
}
