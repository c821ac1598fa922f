/** What a consumer says of a message that JetStream gave it. */
import { type Msg, nanos } from 'nats';
import type { NatsLink } from './nats-link.ts';

/** Done; never to be done; still at work; somebody else's turn, at once or after a pause (`againAfter`). */
export type Word = '+ACK' | '+TERM' | '+WPI' | '-NAK' | `-NAK {${string}}`;

export function againAfter(delayMs: number): Word {
  return `-NAK {"delay":${nanos(delayMs)}}`;
}

/** Says so without waiting for the server. If it is lost, the message comes back: that must do no harm. Never throws. */
export function settle(link: NatsLink, message: Msg, word: Word): Promise<void> {
  return link.call(async (connection) => connection.publish(message.reply ?? '', word)).catch(() => {});
}
