/** What a process says of itself on its admin port, and what must come back to where it was after an attack. */

export interface Vitals {
  readonly residentBytes: number;
  /** On the heap of JavaScript and in buffers; with garbage, unless it was just collected. */
  readonly usedBytes: number;
  readonly openHandles: number;
  readonly openFiles: number;
  readonly connections: number;
  readonly requests: number;
}

export async function readVitals(adminUrl: string): Promise<Vitals> {
  const text = await (await fetch(`${adminUrl}/metrics`)).text();
  const sum = (name: string) =>
    [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? ([0-9.e+]+)$`, 'gm'))].reduce(
      (total, [, value]) => total + Number(value),
      0,
    );
  return {
    residentBytes: sum('process_resident_memory_bytes'),
    usedBytes: sum('nodejs_heap_size_used_bytes') + sum('nodejs_external_memory_bytes'),
    openHandles: sum('nodejs_active_handles_total'),
    openFiles: sum('process_open_fds'),
    connections: sum('imagemesh_gateway_connections'),
    requests: sum('imagemesh_gateway_requests_in_flight'),
  };
}
