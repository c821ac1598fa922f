import fc from 'fast-check';
import { headers } from 'nats';
import { expect, test } from 'vitest';
import { createOutbox, type Outbox, type OutgoingEvent } from './outbox.ts';

const event = (to: string, options: { bytes?: number; replaces?: boolean } = {}): OutgoingEvent => ({
  to,
  bytes: new Uint8Array(options.bytes ?? 10),
  headers: headers(),
  replaces: options.replaces ?? false,
});

/** The subjects of all that is not sent, in the order in which they are sent; sends them. */
function sendAll(outbox: Outbox): string[] {
  const order: string[] = [];
  for (let next = outbox.next(); next !== undefined; next = outbox.next()) {
    const [place, { to }] = next;
    outbox.markSent(place);
    order.push(to);
  }
  return order;
}

test('over the count the oldest goes, and the one that needs the room stays', () => {
  const outbox = createOutbox({ maxCount: 3, maxBytes: 1e6 });
  expect(['a', 'b', 'c', 'd', 'e'].map((to) => outbox.add(event(to)))).toEqual([0, 0, 0, 1, 1]);
  expect(sendAll(outbox)).toEqual(['c', 'd', 'e']);
});

test('over the bytes as many of the oldest go as it takes; one that is larger than all is not held', () => {
  const outbox = createOutbox({ maxCount: 100, maxBytes: 10_000 });
  for (const to of ['a', 'b', 'c']) outbox.add(event(to, { bytes: 2000 }));
  expect(outbox.add(event('d', { bytes: 6000 }))).toBe(2);
  expect(sendAll(outbox)).toEqual(['c', 'd']);
  const small = createOutbox({ maxCount: 100, maxBytes: 10_000 });
  expect(small.add(event('a', { bytes: 10_000 }))).toBe(1);
  expect([small.size, small.sizeBytes]).toEqual([0, 0]);
});

test('what is on its way is not dropped: the new one is', () => {
  const outbox = createOutbox({ maxCount: 2, maxBytes: 1e6 });
  outbox.add(event('a'));
  outbox.add(event('b'));
  sendAll(outbox);
  expect(outbox.add(event('c'))).toBe(1);
  expect([outbox.sent, outbox.size]).toEqual([2, 2]);
});

test('of events that replace each other only the newest is kept, unless the older was sent', () => {
  const outbox = createOutbox({ maxCount: 10, maxBytes: 1e6 });
  outbox.add(event('progress.1', { replaces: true }));
  outbox.add(event('created.2'));
  expect(outbox.add(event('progress.1', { bytes: 77, replaces: true }))).toBe(0);
  outbox.add(event('progress.2', { replaces: true }));
  expect(outbox.size).toBe(3);
  expect(sendAll(outbox)).toEqual(['created.2', 'progress.1', 'progress.2']);
  outbox.add(event('progress.1', { replaces: true }));
  expect(outbox.size).toBe(4);
});

test('what was sent and not confirmed is sent again first, in its order; what was confirmed is not', () => {
  const outbox = createOutbox({ maxCount: 10, maxBytes: 1e6 });
  for (const to of ['a', 'b', 'c']) outbox.add(event(to));
  const places = [outbox.next(), undefined].map((next) => next?.[0] ?? 0);
  sendAll(outbox);
  expect(outbox.settle(places[0] ?? 0)).toBe(true);
  expect(outbox.settle(places[0] ?? 0)).toBe(false);
  outbox.add(event('d'));
  outbox.unsend();
  expect(sendAll(outbox)).toEqual(['b', 'c', 'd']);
});

test('whatever is done to it, it stays within its bounds and its sums are right', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('add'), at: fc.nat(5), bytes: fc.nat(3000), replaces: fc.boolean() }),
    fc.record({ kind: fc.constantFrom('send', 'settle', 'unsend'), at: fc.nat(40) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const outbox = createOutbox({ maxCount: 8, maxBytes: 12_000 });
      for (const one of steps) {
        if ('bytes' in one) outbox.add(event(String(one.at), { ...one }));
        else if (one.kind === 'send') outbox.markSent(outbox.next()?.[0] ?? 0);
        else if (one.kind === 'settle') outbox.settle(one.at);
        else outbox.unsend();
        expect(outbox.size).toBeLessThanOrEqual(8);
        expect(outbox.sizeBytes).toBeLessThanOrEqual(12_000);
        expect(outbox.sent).toBeLessThanOrEqual(outbox.size);
      }
      // All that is left goes, and nothing remains of it.
      outbox.unsend();
      for (let next = outbox.next(); next !== undefined; next = outbox.next()) outbox.settle(next[0]);
      expect([outbox.size, outbox.sizeBytes, outbox.sent]).toEqual([0, 0, 0]);
    }),
  );
});
