/** The memory that the bodies and replies of all calls may take together. */
import { MeshError } from '@imagemesh/rpc';

export interface MemoryBudget {
  /** Bytes taken now. */
  readonly usedBytes: number;
  /** Takes bytes; throws OVERLOADED where there are not that many. Returns what gives them back, once. */
  take(bytes: number): () => void;
}

/** A part of a larger budget has a limit of its own, which is named in errors, and takes from the whole. */
export interface BudgetOptions {
  readonly limit?: string;
  readonly whole?: MemoryBudget;
}

export function createMemoryBudget(
  maxBytes: number,
  { limit = 'HELD_BYTES_MAX', whole }: BudgetOptions = {},
): MemoryBudget {
  let usedBytes = 0;
  return {
    get usedBytes() {
      return usedBytes;
    },
    take(bytes) {
      if (usedBytes + bytes > maxBytes) {
        throw new MeshError('OVERLOADED', 'too many large images at once; try again shortly', {
          metadata: { limit, limit_bytes: String(maxBytes) },
        });
      }
      const giveBack = whole?.take(bytes);
      usedBytes += bytes;
      let isTaken = true;
      return () => {
        if (!isTaken) return;
        isTaken = false;
        usedBytes -= bytes;
        giveBack?.();
      };
    },
  };
}

/** A budget for each connection: its part of the whole. */
export function createConnectionBudgets(
  whole: MemoryBudget,
  maxBytes: number,
): (connection: object) => MemoryBudget {
  const budgets = new WeakMap<object, MemoryBudget>();
  return (connection) => {
    const known = budgets.get(connection);
    if (known !== undefined) return known;
    const budget = createMemoryBudget(maxBytes, { limit: 'CONNECTION_BYTES_MAX', whole });
    budgets.set(connection, budget);
    return budget;
  };
}
