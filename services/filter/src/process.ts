/** Decodes the source and does the operations, in a thread of the pool, which keeps the pixels for `format`. */
import type { Work, WorkCall } from '@imagemesh/worker';
import type { ThreadLease, ThreadPool } from './thread-pool.ts';

/** The pixels, as the thread that keeps them. */
export type Picture = ThreadLease;

export async function process(
  pool: ThreadPool,
  { source, operations, result }: Work,
  { signal, limits, remainingMs }: WorkCall,
): Promise<Picture> {
  const lease = await pool.lease(signal);
  try {
    await lease.ask({
      kind: 'process',
      source,
      operations,
      metadata: result.kind === 'pixels' ? result.metadata : (result.output.metadata ?? 0),
      limits,
      timeoutMs: remainingMs(),
    });
    return lease;
  } catch (error) {
    await lease.release();
    throw error;
  }
}
