import { describe, expect, it } from 'vitest';
import { AttentiveClock } from './attentive-clock.ts';
import { judge, type SignsOfLife } from './health.ts';

const limits = { suspectAfterMs: 750, deadAfterMs: 1500 };
const well: SignsOfLife = {
  reportAgeMs: 100,
  isServing: true,
  isJoined: true,
  isConnected: true,
  isDraining: false,
  isEjected: false,
  hasSucceeded: true,
};

describe('judge', () => {
  it('goes from warming to ready with the first success', () => {
    expect(judge({ ...well, hasSucceeded: false }, limits)).toBe('warming');
    expect(judge(well, limits)).toBe('ready');
  });

  it('suspects a replica whose reports are late, that is not serving, or that lost one of its two connections', () => {
    expect(judge({ ...well, reportAgeMs: 751 }, limits)).toBe('suspect');
    expect(judge({ ...well, isServing: false }, limits)).toBe('suspect');
    expect(judge({ ...well, isConnected: false }, limits)).toBe('suspect');
    expect(judge({ ...well, isJoined: false }, limits)).toBe('suspect');
  });

  it('takes it for dead when both are gone, or its silence is long, draining or not', () => {
    expect(judge({ ...well, isConnected: false, isJoined: false }, limits)).toBe('dead');
    expect(judge({ ...well, reportAgeMs: 1501 }, limits)).toBe('dead');
    expect(judge({ ...well, reportAgeMs: 1501, isDraining: true }, limits)).toBe('dead');
  });

  it('keeps a replica out while it is ejected, unless it is worse', () => {
    expect(judge({ ...well, isEjected: true }, limits)).toBe('ejected');
    expect(judge({ ...well, isEjected: true, isServing: false }, limits)).toBe('suspect');
    expect(judge({ ...well, isEjected: true, isDraining: true }, limits)).toBe('draining');
  });

  it('keeps a draining replica draining', () => {
    expect(judge({ ...well, isDraining: true, isServing: false }, limits)).toBe('draining');
  });
});

describe('AttentiveClock', () => {
  it('runs like any clock while it is looked at', () => {
    const clock = new AttentiveClock(100, 5000);
    for (let at = 5100; at <= 6000; at += 100) expect(clock.tick(at)).toBe(0);
    expect(clock.at(6000)).toBe(1000);
    expect(clock.at(6050)).toBe(1050);
    expect(clock.missedMs).toBe(0);
  });

  it('does not count a stall of its process against anyone', () => {
    const clock = new AttentiveClock(100, 0);
    clock.tick(100);
    const reportedAt = clock.at(100);
    // Stopped for ten seconds; reports wait in the socket.
    expect(clock.at(10_100) - reportedAt).toBeLessThanOrEqual(200);
    expect(clock.tick(10_100)).toBe(9900);
    expect(clock.at(10_100) - reportedAt).toBe(200);
    expect(clock.missedMs).toBe(9800);
  });

  it('never goes back', () => {
    const clock = new AttentiveClock(100, 1000);
    expect(clock.tick(900)).toBe(0);
    expect(clock.at(800)).toBe(0);
  });
});
