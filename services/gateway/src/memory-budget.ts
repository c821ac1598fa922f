/** The memory that the bodies and replies of all calls may take together. */
import { MeshError } from '@imagemesh/rpc';

export interface MemoryBudget {
  /** Bytes taken now. */
  readonly usedBytes: number;
  /** Takes bytes; throws OVERLOADED where there are not that many. Returns what gives them back, once. */
  take(bytes: number): () => void;
}

export function createMemoryBudget(maxBytes: number): MemoryBudget {
  let usedBytes = 0;
  return {
    get usedBytes() {
      return usedBytes;
    },
    take(bytes) {
      if (usedBytes + bytes > maxBytes) {
        throw new MeshError('OVERLOADED', 'too many large images at once; try again shortly', {
          metadata: { limit: 'HELD_BYTES_MAX', limit_bytes: String(maxBytes) },
        });
      }
      usedBytes += bytes;
      let isTaken = true;
      return () => {
        if (isTaken) usedBytes -= bytes;
        isTaken = false;
      };
    },
  };
}
