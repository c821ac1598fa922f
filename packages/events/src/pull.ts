/**
 * Pulls one message. The client's own consumer cannot be told to stop waiting without losing a message that is
 * on its way, and its iterators outlive their connection; one request to one inbox does what is needed here.
 */
import { createInbox, type Msg, type NatsConnection, nanos } from 'nats';

export type Pulled =
  | { readonly kind: 'message'; readonly message: Msg }
  | { readonly kind: 'none' }
  /** The consumer or its stream is not there. */
  | { readonly kind: 'missing' };

export interface PullOptions {
  readonly stream: string;
  readonly consumer: string;
  /** The server answers "none" after this long; 0: at once. */
  readonly expiresMs: number;
  /** Ends the wait with "none". A message on its way comes back to somebody after the consumer's ack_wait. */
  readonly signal: AbortSignal;
}

/** The client waits this much longer than the server. */
const lateMs = 1000;

/** The answer; "none" also when the connection is lost. */
export function pullOne(connection: NatsConnection, options: PullOptions): Promise<Pulled> {
  const { stream, consumer, expiresMs, signal } = options;
  return new Promise((resolve, reject) => {
    const inbox = createInbox();
    const subscription = connection.subscribe(inbox, {
      max: 1,
      callback: (error, message) => (error === null ? end(toPulled(message)) : fail(error)),
    });
    const timer = setTimeout(giveUp, expiresMs + lateMs);
    signal.addEventListener('abort', giveUp, { once: true });
    subscription.closed.then(giveUp, giveUp);
    try {
      connection.publish(
        `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`,
        JSON.stringify(
          expiresMs === 0 ? { batch: 1, no_wait: true } : { batch: 1, expires: nanos(expiresMs) },
        ),
        { reply: inbox },
      );
    } catch (error) {
      fail(error);
    }
    if (signal.aborted) giveUp();

    function end(pulled: Pulled): void {
      clean();
      resolve(pulled);
    }
    function giveUp(): void {
      end({ kind: 'none' });
    }
    function fail(error: unknown): void {
      clean();
      reject(error);
    }
    function clean(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', giveUp);
      if (!subscription.isClosed() && !connection.isClosed()) subscription.unsubscribe();
    }
  });
}

function toPulled(message: Msg): Pulled {
  const code = message.headers?.code ?? 0;
  // A message of the stream may have headers, but no status.
  if (code === 0) return { kind: 'message', message };
  // 404 no messages, 408 expired; 409 limits reached or the leader changed: ask again; but not if it was deleted.
  const isGone = code === 503 || (code === 409 && /deleted/i.test(message.headers?.description ?? ''));
  return isGone ? { kind: 'missing' } : { kind: 'none' };
}
