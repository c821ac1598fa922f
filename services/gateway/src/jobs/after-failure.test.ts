import { type ErrorReason, MeshError } from '@imagemesh/rpc';
import { expect, test } from 'vitest';
import { afterFailure, maxAttempts, maxWaitMs } from './after-failure.ts';

const after = (reason: ErrorReason, history: Partial<Parameters<typeof afterFailure>[1]> = {}) =>
  afterFailure(new MeshError(reason, 'x'), { attempts: 1, waits: 0, ageMs: 0, ...history });

test('what is wrong with the request fails at once', () => {
  for (const reason of [
    'INVALID_REQUEST',
    'DAMAGED_IMAGE',
    'IMAGE_NOT_FOUND',
    'TOO_MANY_PIXELS',
    'OUTPUT_TOO_LARGE',
    'NOT_IMPLEMENTED',
  ] as const) {
    expect(after(reason)).toEqual({ kind: 'fail' });
  }
});

test('a failure that may pass is tried again, later each time, five times in all', () => {
  const delays = [1, 2, 3, 4].map((attempts) => after('REPLICA_LOST', { attempts }));
  expect(delays).toEqual(
    [1000, 2000, 4000, 8000].map((delayMs) => ({ kind: 'again', delayMs, isAttempt: true })),
  );
  expect(after('REPLICA_LOST', { attempts: maxAttempts })).toEqual({ kind: 'fail' });
});

test('a replica that died before there was none left is an attempt', () => {
  const error = new MeshError('NO_REPLICA', 'none', { metadata: { deaths: '1' } });
  expect(afterFailure(error, { attempts: 1, waits: 0, ageMs: 0 })).toMatchObject({ isAttempt: true });
  expect(afterFailure(error, { attempts: maxAttempts, waits: 0, ageMs: 0 })).toEqual({ kind: 'fail' });
});

test('want of capacity is no attempt, and waits at most 30 s between tries and an hour in all', () => {
  expect(after('OVERLOADED', { attempts: 9, waits: 2 })).toEqual({
    kind: 'again',
    delayMs: 4000,
    isAttempt: false,
  });
  expect(after('NO_REPLICA', { waits: 100 })).toEqual({ kind: 'again', delayMs: 30_000, isAttempt: false });
  expect(after('NO_REPLICA', { ageMs: maxWaitMs + 1 })).toEqual({ kind: 'fail' });
});
