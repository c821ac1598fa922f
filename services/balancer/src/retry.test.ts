import { describe, expect, it } from 'vitest';
import { retryBudget } from './budget.ts';
import { afterFailure, busyPauseMs, type RetryQuestion } from './retry.ts';

const question: RetryQuestion = {
  failure: 'died',
  failedAttempts: 1,
  maxAttempts: 3,
  erroredOn: 0,
  isInBudget: true,
  isIdempotent: true,
  isReplayable: true,
  isCommitted: false,
};

describe('afterFailure', () => {
  it('runs an idempotent call again, up to the bound', () => {
    expect(afterFailure(question)).toBe('again');
    expect(afterFailure({ ...question, failedAttempts: 2 })).toBe('again');
    expect(afterFailure({ ...question, failedAttempts: 3 })).toBe('give-up');
  });

  it('runs any call again that no replica has seen', () => {
    for (const failure of ['refused', 'stopping', 'busy'] as const) {
      expect(afterFailure({ ...question, isIdempotent: false, failure })).toBe('again');
    }
    for (const failure of ['died', 'reset'] as const) {
      expect(afterFailure({ ...question, isIdempotent: false, failure })).toBe('give-up');
    }
  });

  it('asks one other replica about an answered error, within the budget', () => {
    const errored: RetryQuestion = { ...question, failure: 'errored', erroredOn: 1 };
    expect(afterFailure(errored)).toBe('again');
    expect(afterFailure({ ...errored, erroredOn: 2 })).toBe('give-up');
    expect(afterFailure({ ...errored, isInBudget: false })).toBe('give-up');
    expect(afterFailure({ ...errored, isIdempotent: false })).toBe('give-up');
  });

  it('never gives up for BUSY alone', () => {
    expect(afterFailure({ ...question, failure: 'busy', failedAttempts: 99 })).toBe('again');
  });

  it('never runs a call again whose reply has begun or whose body is gone', () => {
    for (const failure of ['died', 'reset', 'refused', 'busy', 'stopping'] as const) {
      expect(afterFailure({ ...question, failure, isCommitted: true })).toBe('give-up');
      expect(afterFailure({ ...question, failure, isReplayable: false })).toBe('give-up');
    }
  });
});

describe('busyPauseMs', () => {
  it('doubles from 2 ms to 64 ms, spread by a half', () => {
    expect(busyPauseMs(1, () => 0.5)).toBe(2);
    expect(busyPauseMs(3, () => 0.5)).toBe(8);
    expect(busyPauseMs(1000, () => 0.5)).toBe(64);
    expect(busyPauseMs(1, () => 0)).toBe(1.5);
    expect(busyPauseMs(1, () => 0.999)).toBeLessThan(2.5);
  });
});

it('the budget is a hundred, and a fifth of the calls', () => {
  const budget = retryBudget();
  let retries = 0;
  for (; budget.isLeft; retries++) budget.spend();
  expect(retries).toBe(100);
  for (let call = 0; call < 50; call++) budget.earn();
  for (retries = 0; budget.isLeft; retries++) budget.spend();
  expect(Math.abs(retries - 10)).toBeLessThanOrEqual(1);
});
