import { describe, expect, it } from 'vitest';
import { failuresIn, judge } from './known-failing.ts';

const list = `# Why.
# error: one detail
Basic/**/unimplemented

# error: late
# sometimes
Timeouts/**
`;

describe('failuresIn', () => {
  it('finds names and errors', () => {
    const output =
      'FAILED: Basic/a: b/unimplemented:\n\tone detail\n\ttwo\nFAILED: Errors/x:\n\tlate\n\nTotal cases: 9\n';
    expect(failuresIn(output)).toEqual([
      { name: 'Basic/a: b/unimplemented', errors: ['one detail', 'two'] },
      { name: 'Errors/x', errors: ['late'] },
    ]);
  });
});

describe('judge', () => {
  it('lets pass what fails as it is known to', () => {
    const failures = [
      { name: 'Basic/HTTPVersion:1/TLS:true/unimplemented', errors: ['one detail'] },
      { name: 'Timeouts/unary', errors: ['late'] },
    ];
    expect(judge(failures, list)).toEqual({ unexpected: [], known: 2, stale: [] });
  });

  it.each([
    ['fails in another way', { name: 'Basic/unimplemented', errors: ['wrong code'] }],
    ['fails in one way more', { name: 'Basic/unimplemented', errors: ['one detail', 'wrong code'] }],
    ['is not in the list', { name: 'Basic/unimplemented/more', errors: ['one detail'] }],
  ])('does not let pass what %s', (_what, failure) => {
    expect(judge([failure], list).unexpected).toEqual([failure]);
  });

  it('names patterns under which nothing fails any more', () => {
    expect(judge([], list)).toEqual({ unexpected: [], known: 0, stale: ['Basic/**/unimplemented'] });
  });
});
