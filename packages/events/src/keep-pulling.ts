/** The loop around pulls: goes on after errors and without a stream, and ends when told to. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { NatsLink } from './nats-link.ts';
import type { Pulled } from './pull.ts';

export interface Pulling {
  readonly link: NatsLink;
  readonly stop: AbortSignal;
  readonly onError: (error: unknown) => void;
  /** One turn: pulls, and deals with what came; undefined if there was no room for any. */
  readonly turn: () => Promise<Pulled | undefined>;
}

/** A pause after an error, so that one that stays does not keep a core busy. */
const afterErrorMs = 1000;

/** Resolves once `stop` has aborted and the turn then under way is over. Never rejects. */
export async function keepPulling({ link, stop, onError, turn }: Pulling): Promise<void> {
  while (!stop.aborted) {
    try {
      if ((await turn())?.kind !== 'missing') continue;
      await link.remake();
    } catch (error) {
      if (stop.aborted) return;
      onError(error);
    }
    await sleep(afterErrorMs, undefined, { signal: stop }).catch(() => {});
  }
}
