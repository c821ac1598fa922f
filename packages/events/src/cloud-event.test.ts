import { CloudEvent } from 'cloudevents';
import { expect, test } from 'vitest';
import { EVENT_TYPES, eventSubject, parseCloudEvent, toCloudEvent } from './cloud-event.ts';

const parts = {
  id: 'job.completed.01ARYZ6S410000000000000000',
  type: 'imagemesh.job.completed',
  subject: '01ARYZ6S410000000000000000',
  owner: 'alice',
  timeMs: 1_700_000_000_123,
  data: { jobId: '01ARYZ6S410000000000000000' },
} as const;
const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

test('an event has the attributes of CloudEvents 1.0', () => {
  expect(toCloudEvent({ ...parts, traceparent })).toEqual({
    specversion: '1.0',
    id: 'job.completed.01ARYZ6S410000000000000000',
    source: '/imagemesh',
    type: 'imagemesh.job.completed',
    subject: '01ARYZ6S410000000000000000',
    time: '2023-11-14T22:13:20.123Z',
    datacontenttype: 'application/json',
    traceparent,
    owner: 'alice',
    data: { jobId: '01ARYZ6S410000000000000000' },
  });
});

test('an attribute that is not known is left out, as the specification asks', () => {
  expect(Object.keys(toCloudEvent(parts))).not.toContain('traceparent');
});

test.each(EVENT_TYPES)('%s is valid for the SDK of CloudEvents', (type) => {
  const event = toCloudEvent({ ...parts, type, traceparent });
  expect(new CloudEvent({ ...event }).validate()).toBe(true);
});

test('an event is read back; anything else is none', () => {
  const event = toCloudEvent(parts);
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value));
  expect(parseCloudEvent(encode(event))).toEqual(event);
  const others = [{ ...event, type: 'com.example.other' }, { ...event, data: undefined }, null, 7, [event]];
  for (const other of others) expect(parseCloudEvent(encode(other))).toBeUndefined();
  expect(parseCloudEvent(Buffer.from('{"specversion'))).toBeUndefined();
});

test('the NATS subject ends in the id', () => {
  expect(eventSubject('imagemesh.job.failed', 'x')).toBe('imagemesh.events.job.failed.x');
});
