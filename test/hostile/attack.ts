/** Runs a kind of hostile requests and counts how they ended. */
import { seededRandom } from '@imagemesh/testkit';
import type { Kind } from './kinds.ts';
import type { Ending, Target } from './target.ts';

/** Requests of one kind, at most `concurrency` of them at a time; the same ones for the same seed. */
export async function attack(
  kind: Kind,
  target: Target,
  options: {
    readonly requests: number;
    /** No more are begun after that time. Default: no limit. */
    readonly withinMs?: number;
    readonly seed?: number;
  },
): Promise<Record<Ending, number>> {
  const { requests, withinMs = Number.POSITIVE_INFINITY, seed = 1 } = options;
  const endMs = performance.now() + withinMs;
  const counts: Record<Ending, number> = { refused: 0, closed: 0, answered: 0, hung: 0 };
  const random = seededRandom(seed);
  const { send, close } = kind.open(target);
  let left = requests;
  const one = async () => {
    while (left-- > 0 && performance.now() < endMs) counts[await send(random)]++;
  };
  try {
    await Promise.all(Array.from({ length: Math.min(kind.concurrency, requests) }, one));
  } finally {
    close();
  }
  return counts;
}
