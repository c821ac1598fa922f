/**
 * What the reply subject of a JetStream message tells
 * (https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-15.md):
 * `$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<consumer sequence>.<time>.<pending>`, or, from 2.10 on where
 * domains are used, with `<domain>.<account hash>` before the stream and possibly a token at the end.
 */
export function parseAckSubject(subject: string):
  | {
      readonly deliveries: number;
      readonly sequence: number;
      /** Its place among all that this consumer has handed out. */
      readonly consumerSequence: number;
    }
  | undefined {
  const tokens = subject.split('.');
  if (tokens[0] !== '$JS' || tokens[1] !== 'ACK') return undefined;
  const first = tokens.length >= 11 ? 6 : 4;
  if (tokens.length < first + 5) return undefined;
  const deliveries = Number(tokens[first]);
  const sequence = Number(tokens[first + 1]);
  const consumerSequence = Number(tokens[first + 2]);
  const numbers = { deliveries, sequence, consumerSequence };
  return Object.values(numbers).every(Number.isSafeInteger) ? numbers : undefined;
}
