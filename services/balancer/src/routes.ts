/** Which kind of replica serves which method. */
import { FilterService, ResizeService, WorkerKind } from '@imagemesh/api';

/** The work services by kind. */
export const WORK_SERVICES = [
  { worker: WorkerKind.RESIZE, service: ResizeService },
  { worker: WorkerKind.FILTER, service: FilterService },
] as const;

/** By method path, "/package.Service/Method". */
export const WORK_ROUTES: ReadonlyMap<string, WorkerKind> = new Map(
  WORK_SERVICES.flatMap(({ worker, service }) =>
    service.methods.map((method) => [`/${service.typeName}/${method.name}`, worker] as const),
  ),
);

const names = new Map<WorkerKind, string>(
  Object.entries(WorkerKind).map(([name, worker]) => [worker, name.toLowerCase()]),
);

/** "resize", "filter": for messages and labels. */
export function workerName(worker: WorkerKind): string {
  return names.get(worker) ?? `kind-${worker}`;
}
