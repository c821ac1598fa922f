/**
 * Shares the turns of the event loop out among connections.
 *
 * One read of a socket may hold a hundred requests, and one turn a hundred new connections. Taken at once they keep everybody else
 * waiting, once for each of the several turns that a call needs. So a connection begins a few requests a turn; what else it has sent
 * waits, in its order, and costs nothing if it is taken back meanwhile.
 */
export interface Turns {
  /** Runs the work of the connection now, or in one of the next turns. */
  run(connection: object, work: () => void): void;
}

export interface TurnsOptions {
  /** Works of one connection in one turn; one that lasts less than a millisecond counts as that long. */
  readonly perTurn: number;
  /** Calls back in the next turn. Default setImmediate. */
  readonly nextTurn?: (callback: () => void) => void;
  /** Default performance.now. */
  readonly now?: () => number;
}

interface Share {
  left: number;
  sinceMs: number;
  readonly waiting: (() => void)[];
}

const minTurnMs = 1;

export function createTurns(options: TurnsOptions): Turns {
  const { perTurn, nextTurn = setImmediate, now = () => performance.now() } = options;
  const shares = new WeakMap<object, Share>();
  /** Those with something waiting. */
  const crowded = new Set<Share>();

  const turn = () => {
    for (const share of crowded) {
      for (const work of share.waiting.splice(0, perTurn)) work();
      share.left = 0;
      share.sinceMs = now();
      if (share.waiting.length === 0) crowded.delete(share);
    }
    if (crowded.size > 0) nextTurn(turn);
  };

  return {
    run(connection, work) {
      const nowMs = now();
      const share = shares.get(connection) ?? { left: perTurn, sinceMs: nowMs, waiting: [] };
      shares.set(connection, share);
      if (nowMs - share.sinceMs >= minTurnMs) {
        share.left = perTurn;
        share.sinceMs = nowMs;
      }
      if (share.left > 0 && share.waiting.length === 0) {
        share.left--;
        work();
        return;
      }
      share.waiting.push(work);
      if (crowded.size === 0) nextTurn(turn);
      crowded.add(share);
    },
  };
}
