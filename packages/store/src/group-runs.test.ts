import { describe, expect, test } from 'vitest';
import { createGroupRuns } from './group-runs.ts';

/** Runs that end when the test says so. */
function controlled() {
  const begun: { readonly key: string; end(error?: Error): void }[] = [];
  const run = createGroupRuns(
    (key) =>
      new Promise((resolve, reject) => {
        begun.push({ key, end: (error) => (error === undefined ? resolve() : reject(error)) });
      }),
  );
  return { begun, run };
}

async function settled(promise: Promise<void>): Promise<string> {
  const waiting = new Promise<string>((resolve) => setImmediate(resolve, 'waiting'));
  return Promise.race([promise.then(() => 'done', String), waiting]);
}

describe('createGroupRuns', () => {
  test('calls that come while it runs share one run that begins after them', async () => {
    const { begun, run } = controlled();
    const first = run('a');
    const later = [run('a'), run('a'), run('a')];
    expect(begun).toHaveLength(1);
    begun[0]?.end();
    expect(await settled(first)).toBe('done');
    expect(await Promise.all(later.map(settled))).toEqual(['waiting', 'waiting', 'waiting']);
    expect(begun).toHaveLength(2);
    begun[1]?.end();
    expect(await Promise.all(later.map(settled))).toEqual(['done', 'done', 'done']);
    expect(begun).toHaveLength(2);
  });

  test('a call after the last run has one of its own', async () => {
    const { begun, run } = controlled();
    const first = run('a');
    begun[0]?.end();
    await first;
    const second = run('a');
    expect(begun).toHaveLength(2);
    expect(await settled(second)).toBe('waiting');
  });

  test('keys do not wait for each other', () => {
    const { begun, run } = controlled();
    void run('a');
    void run('b');
    expect(begun.map(({ key }) => key)).toEqual(['a', 'b']);
  });

  test('an error is that of the callers who shared the run, and no others', async () => {
    const { begun, run } = controlled();
    const first = run('a');
    const second = run('a');
    begun[0]?.end(new Error('disk'));
    expect(await settled(first)).toBe('Error: disk');
    expect(await settled(second)).toBe('waiting');
    begun[1]?.end();
    expect(await settled(second)).toBe('done');
  });
});
