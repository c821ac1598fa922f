/** Decodes the source and does the operations, in a thread of the pool, which keeps the pixels for `format`. */
import { MetadataPolicy } from '@imagemesh/api';
import { policyOf } from '@imagemesh/image';
import type { Work, WorkCall, WorkResult } from '@imagemesh/worker';
import type { ThreadLease, ThreadPool } from './thread-pool.ts';

/** The pixels, as the thread that keeps them. */
export type Picture = ThreadLease;

export async function process(
  pool: ThreadPool,
  { source, operations, color, result }: Work,
  { signal, limits, remainingMs }: WorkCall,
): Promise<Picture> {
  const lease = await pool.lease(signal);
  try {
    await lease.ask({
      kind: 'process',
      source,
      operations,
      metadata: metadataOf(result),
      color,
      limits,
      timeoutMs: remainingMs(),
    });
    return lease;
  } catch (error) {
    await lease.release();
    throw error;
  }
}

/** `validate` has refused measurements. */
function metadataOf(result: WorkResult): MetadataPolicy {
  if (result.kind === 'pixels') return result.metadata;
  return result.kind === 'encoded' ? policyOf(result.output.metadata) : MetadataPolicy.STRIP;
}
