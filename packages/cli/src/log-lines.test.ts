import { describe, expect, it } from 'vitest';
import { formatLine } from './log-lines.ts';

const line = JSON.stringify({
  level: 'info',
  time: '2025-01-02T03:04:05.678Z',
  name: 'resize',
  pid: 7,
  requestId: 'r1',
  ms: 12,
  msg: 'call',
});

describe('formatLine', () => {
  it('makes a JSON line readable, behind the name of its process', () => {
    expect(formatLine('resize-1', line, 'pretty', 9)).toBe(
      'resize-1  | 03:04:05.678 info  call requestId=r1 ms=12',
    );
  });

  it('leaves the JSON as it is for programs', () => {
    expect(formatLine('resize-1', line, 'json', 8)).toBe(`resize-1 | ${line}`);
  });

  it('passes on what is no JSON', () => {
    expect(formatLine('nats', '[12] [INF] Server is ready', 'pretty', 4)).toBe(
      'nats | [12] [INF] Server is ready',
    );
    expect(formatLine('nats', '{broken', 'pretty', 4)).toBe('nats | {broken');
  });

  it('shows an error with its stack', () => {
    const failed = JSON.stringify({
      level: 'error',
      msg: 'call',
      err: { message: 'no', stack: 'Error: no\n    at x' },
    });
    expect(formatLine('a', failed, 'pretty', 1)).toBe('a | error call \nError: no\n    at x');
  });
});
