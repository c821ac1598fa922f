/**
 * Takes jobs out of the queue, those of a higher priority first, as long as more may run.
 *
 * Priorities are asked one after the other, and answer at once. At one that is empty a request waits, and it is not asked
 * again before that is answered; the request stays, as a message on its way to one that was given up would be lost for
 * the whole ack_wait. What it brings when no more may run is handed back at once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Msg } from 'nats';
import { consumerOf, JOB_STREAM, PRIORITIES, type Priority } from './job-subjects.ts';
import { keepPulling } from './keep-pulling.ts';
import type { NatsLink } from './nats-link.ts';
import { type Pulled, pullOne } from './pull.ts';

export interface Consuming {
  readonly link: NatsLink;
  readonly limit: () => number;
  readonly stop: AbortSignal;
  readonly onError: (error: unknown) => void;
  readonly onIdle: () => Promise<void>;
  /** Never throws. */
  readonly handle: (message: Msg) => Promise<void>;
  /** Gives the message to whoever asks next. Never throws. */
  readonly handBack: (message: Msg) => Promise<void>;
}

const waitMs = 10_000;
/** How often the limit is asked while it is reached. */
const askLimitMs = 200;

export async function consumeByPriority(parts: Consuming): Promise<void> {
  const { link, limit, stop, onError, onIdle, handle, handBack } = parts;
  const running = new Set<Promise<void>>();
  const waiting = new Map<Priority, Promise<Pulled>>();

  function take(message: Msg): void {
    if (running.size >= limit()) return void handBack(message);
    const handling = handle(message).finally(() => running.delete(handling));
    running.add(handling);
  }

  async function pull(priority: Priority, expiresMs: number): Promise<Pulled> {
    const pulled = await pullOne(await link.ready(stop), {
      stream: JOB_STREAM,
      consumer: consumerOf(priority),
      expiresMs,
      signal: stop,
    });
    if (pulled.kind === 'message') take(pulled.message);
    return pulled;
  }

  function wait(priority: Priority): Promise<Pulled> {
    const begun = waiting.get(priority);
    if (begun !== undefined) return begun;
    const pulling = pull(priority, waitMs).finally(() => waiting.delete(priority));
    // Nobody listens while there is work, or the limit is reached.
    pulling.catch(() => {});
    waiting.set(priority, pulling);
    return pulling;
  }

  async function next(order: readonly Priority[]): Promise<Pulled> {
    for (const priority of order) {
      if (waiting.has(priority)) continue;
      const pulled = await pull(priority, 0);
      if (pulled.kind !== 'none') return pulled;
      void wait(priority);
    }
    return Promise.race(PRIORITIES.map(wait));
  }

  let turns = 0;
  async function turn(): Promise<Pulled | undefined> {
    if (running.size >= limit()) {
      await Promise.race([...running, sleep(askLimitMs)]);
      return undefined;
    }
    const pulled = await next(orderOf(turns));
    turns += 1;
    if (pulled.kind === 'none') await onIdle();
    return pulled;
  }

  await keepPulling({ link, stop, onError, turn });
  await Promise.allSettled(waiting.values());
  while (running.size > 0) await Promise.all(running);
}

/** Of eight turns one begins with each of the lower priorities, so that they go on under any load. */
export function orderOf(turn: number): readonly Priority[] {
  switch (turn % 8) {
    case 3:
      return ['normal', 'high', 'low'];
    case 7:
      return ['low', 'high', 'normal'];
    default:
      return PRIORITIES;
  }
}
