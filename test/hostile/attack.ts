/** Runs a kind of hostile requests and counts how they ended. */
import { seededRandom } from '@imagemesh/testkit';
import type { Kind } from './kind.ts';
import type { Ending, Target } from './target.ts';

/** Requests of one kind, at most `concurrency` sends at a time; the same ones for the same seed. All that are sent are counted. */
export async function attack<At extends Target>(
  kind: Kind<At>,
  target: At,
  options: {
    readonly requests: number;
    readonly seed?: number;
    /** Sends no more once it is aborted. */
    readonly signal?: AbortSignal;
  },
): Promise<Record<Ending, number>> {
  const { requests, seed = 1, signal } = options;
  const { requestsPerSend = 1 } = kind;
  const counts: Record<Ending, number> = { refused: 0, closed: 0, answered: 0, hung: 0 };
  const random = seededRandom(seed);
  const { send, close } = kind.open(target);
  let left = requests;
  const one = async () => {
    while (left > 0 && signal?.aborted !== true) {
      left -= requestsPerSend;
      counts[await send(random)] += requestsPerSend;
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(kind.concurrency, requests) }, one));
  } finally {
    close();
  }
  return counts;
}
