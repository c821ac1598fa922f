/** What a kind of hostile requests is, and the ways of sending one. */
import { createPipelines, type PipelinedRequest } from './pipelines.ts';
import { createStreams, type Ending, type Exchange, sendRaw, type Target } from './target.ts';

/** Each makes one hostile request after another from a seeded generator. */
export interface Kind<At extends Target = Target> {
  readonly name: string;
  /** Sends at a time; those that wait for a timeout of the gateway need many. */
  readonly concurrency: number;
  /** Requests that each send makes; default 1. */
  readonly requestsPerSend?: number;
  /** Endings that are right for it. Hung never is. */
  readonly endings: readonly Ending[];
  /** Sends one; close what it opened with `close`. */
  readonly open: (target: At) => {
    send(random: () => number): Promise<Ending>;
    close(): void;
  };
}

type Random = () => number;

export const below = (random: Random, limit: number) => Math.floor(random() * limit);

export function oneOf<Item>(random: Random, items: readonly Item[]): Item {
  const item = items[below(random, items.length)];
  if (item === undefined) throw new Error('there is nothing to take one of');
  return item;
}

export function randomBytes(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => below(random, 256)));
}

/** A kind of raw bytes, a connection for each. */
export function raw<At extends Target = Target>(
  name: string,
  bytesOf: (random: Random, target: At) => Uint8Array,
  { concurrency = 64, ends = true, endings = ['refused', 'closed'] as readonly Ending[] } = {},
): Kind<At> {
  return {
    name,
    concurrency,
    endings,
    open: (target) => ({
      send: (random) => sendRaw(target, bytesOf(random, target), { ends }),
      close: () => {},
    }),
  };
}

/** A kind of HTTP/2 streams. */
export function streams<At extends Target = Target>(
  name: string,
  exchangeOf: (random: Random, target: At) => Exchange,
  endings: readonly Ending[] = ['refused'],
  concurrency = 64,
): Kind<At> {
  return {
    name,
    concurrency,
    endings,
    open: (target) => {
      const { send, close } = createStreams(target);
      return { send: (random) => send(exchangeOf(random, target)), close };
    },
  };
}

const requestsPerPipeline = 25;

/** A kind of HTTP/1.1 requests on few connections. Each has to be refused, for a reason that is right for it. */
export function pipelined<At extends Target>(
  name: string,
  requestOf: (random: Random, target: At) => PipelinedRequest,
): Kind<At> {
  return {
    name,
    concurrency: 4,
    requestsPerSend: requestsPerPipeline,
    endings: ['refused'],
    open: (target) => {
      const { send, close } = createPipelines(target);
      return {
        send: (random) => send(Array.from({ length: requestsPerPipeline }, () => requestOf(random, target))),
        close,
      };
    },
  };
}
