import { Code, ConnectError } from '@connectrpc/connect';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  createCallSignal,
  deadlineIn,
  earlier,
  formatGrpcTimeout,
  parseGrpcTimeout,
  remainingMs,
} from './deadline.ts';
import { MeshError } from './errors.ts';

describe('a grpc-timeout', () => {
  it.each([
    ['1H', 3_600_000],
    ['2M', 120_000],
    ['3S', 3000],
    ['250m', 250],
    ['5000u', 5],
    ['1000000n', 1],
    ['99999999H', 99_999_999 * 3_600_000],
  ])('%s is %d ms', (header, ms) => {
    expect(parseGrpcTimeout(header)).toBeCloseTo(ms);
  });

  it.each([undefined, '', '5', 'm', '-1m', '123456789m', '1.5S', '1x'])('is not there in %j', (header) => {
    expect(parseGrpcTimeout(header)).toBeUndefined();
  });

  it('survives being written, and never gets shorter', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e12, noNaN: true }), (ms) => {
        const back = parseGrpcTimeout(formatGrpcTimeout(ms)) ?? -1;
        expect(back).toBeGreaterThanOrEqual(ms);
        expect(back).toBeLessThanOrEqual(ms * 1.1 + 1);
      }),
    );
  });
});

describe('a deadline', () => {
  it('only shrinks', () => {
    const soon = deadlineIn(10, 1000);
    const late = deadlineIn(20, 1000);
    expect(earlier(soon, late)).toBe(soon);
    expect(earlier(undefined, late)).toBe(late);
    expect(earlier(undefined, undefined)).toBeUndefined();
    expect(remainingMs(soon, 1004)).toBe(6);
    expect(remainingMs(soon, 2000)).toBe(0);
  });
});

describe('a call’s signal', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('fires at the deadline', () => {
    const call = createCallSignal({ deadline: deadlineIn(100) });
    vi.advanceTimersByTime(99);
    expect(call.signal.aborted).toBe(false);
    vi.advanceTimersByTime(1);
    expect(call.signal.reason).toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
  });

  it('fires with its parent, and keeps a reason that is the mesh’s', () => {
    const parent = new AbortController();
    const call = createCallSignal({ deadline: deadlineIn(100), parent: parent.signal });
    parent.abort();
    expect(call.signal.reason).toMatchObject({ reason: 'CANCELLED' });
    expect(vi.getTimerCount()).toBe(0);
    const stopping = AbortSignal.abort(new MeshError('SHUTTING_DOWN', 'bye'));
    expect(createCallSignal({ parent: stopping }).signal.reason).toMatchObject({ reason: 'SHUTTING_DOWN' });
  });

  it('knows a deadline that Connect found first', () => {
    const parent = new AbortController();
    const { signal } = createCallSignal({ parent: parent.signal });
    parent.abort(new ConnectError('the operation timed out', Code.DeadlineExceeded));
    expect(signal.reason).toMatchObject({ code: 'deadline_exceeded', reason: 'DEADLINE_EXCEEDED' });
  });

  it('leaves nothing behind once disposed', () => {
    const parent = new AbortController();
    const call = createCallSignal({ deadline: deadlineIn(100), parent: parent.signal });
    call.dispose();
    parent.abort();
    expect(vi.getTimerCount()).toBe(0);
    expect(call.signal.aborted).toBe(false);
  });
});
