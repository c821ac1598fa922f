/** Whether a call may come in: so many at once, and no more. */
import { MeshError } from '@imagemesh/rpc';

export interface Admission {
  /** Calls in now. */
  readonly inFlight: number;
  /** Runs a call; OVERLOADED where there are too many. */
  run<Result>(call: () => Promise<Result>): Promise<Result>;
}

export function createAdmission(maxCalls: number): Admission {
  let inFlight = 0;
  return {
    get inFlight() {
      return inFlight;
    },
    async run(call) {
      if (inFlight >= maxCalls) {
        throw new MeshError('OVERLOADED', 'too many calls at once; try again shortly', {
          metadata: { limit: 'MAX_CALLS', limit_calls: String(maxCalls) },
        });
      }
      inFlight++;
      try {
        return await call();
      } finally {
        inFlight--;
      }
    },
  };
}
