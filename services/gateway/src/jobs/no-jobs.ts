/** Jobs where no NATS is configured. */
import { MeshError } from '@imagemesh/rpc';
import type { Jobs } from './jobs.ts';

export function createNoJobs(): Jobs {
  const refuse = (): never => {
    throw new MeshError('NATS_UNAVAILABLE', 'the gateway runs without NATS, and so without jobs (NATS_URL)');
  };
  const refuseLater = async () => refuse();
  // biome-ignore lint/correctness/useYield: it only ever throws
  async function* refuseStream() {
    refuse();
  }
  return {
    create: refuseLater,
    get: refuseLater,
    list: refuseLater,
    cancel: refuseLater,
    retry: refuseLater,
    watch: refuseStream,
    watchMany: refuseStream,
    neededImages: async () => new Set(),
    close: async () => {},
  };
}
