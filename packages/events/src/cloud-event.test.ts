import { expect, test } from 'vitest';
import { eventSubject, toCloudEvent } from './cloud-event.ts';

const parts = {
  id: 'job.completed.01ARYZ6S410000000000000000',
  source: '/imagemesh/gateway/a',
  subject: 'job',
  verb: 'completed',
  subjectId: '01ARYZ6S410000000000000000',
  timeMs: 1_700_000_000_123,
  data: { jobId: '01ARYZ6S410000000000000000' },
};

test('an event has the attributes of CloudEvents 1.0', () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  expect(toCloudEvent({ ...parts, traceparent })).toEqual({
    specversion: '1.0',
    id: 'job.completed.01ARYZ6S410000000000000000',
    source: '/imagemesh/gateway/a',
    type: 'imagemesh.job.completed',
    subject: '01ARYZ6S410000000000000000',
    time: '2023-11-14T22:13:20.123Z',
    datacontenttype: 'application/json',
    traceparent,
    data: { jobId: '01ARYZ6S410000000000000000' },
  });
});

test('an attribute that is not known is left out, as the specification asks', () => {
  expect(Object.keys(toCloudEvent(parts))).not.toContain('traceparent');
});

test('the NATS subject ends in the id', () => {
  expect(eventSubject('job', 'failed', 'x')).toBe('imagemesh.events.job.failed.x');
});
