import { expect, test } from 'vitest';
import { parseAckSubject } from './ack-subject.ts';

test('reads deliveries and sequence from both forms of the reply subject', () => {
  const place = { deliveries: 2, sequence: 17, consumerSequence: 5 };
  expect(parseAckSubject('$JS.ACK.IMAGEMESH_JOBS.gateway.2.17.5.1700000000000000000.3')).toEqual(place);
  expect(parseAckSubject('$JS.ACK.hub.Hx2.IMAGEMESH_JOBS.gateway.2.17.5.1700000000000000000.3')).toEqual(
    place,
  );
  expect(parseAckSubject('$JS.ACK._.Hx2.IMAGEMESH_JOBS.gateway.2.17.5.1700000000000000000.3.x')).toEqual(
    place,
  );
});

test('refuses any other subject', () => {
  for (const subject of ['', '_INBOX.abc', '$JS.ACK.stream.consumer', '$JS.ACK.s.c.one.two.3.4.5']) {
    expect(parseAckSubject(subject)).toBeUndefined();
  }
});
