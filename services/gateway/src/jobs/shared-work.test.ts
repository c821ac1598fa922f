import { expect, test } from 'vitest';
import { createSharedWork } from './shared-work.ts';

function createFixture() {
  const share = createSharedWork<string>();
  const begun: { readonly signal: AbortSignal; finish(result: string): void; fail(error: Error): void }[] =
    [];
  const join = (key: string) => {
    const caller = new AbortController();
    const work = (signal: AbortSignal) =>
      new Promise<string>((finish, fail) => begun.push({ signal, finish, fail }));
    const result = share(key, caller.signal, work);
    result.catch(() => {});
    return { result, leave: () => caller.abort(new Error('left')) };
  };
  return { begun, join };
}

test('those who ask at the same time get one result, and the next begins anew', async () => {
  const { begun, join } = createFixture();
  const callers = [join('a'), join('a'), join('b')];
  expect(begun).toHaveLength(2);
  begun[0]?.finish('one');
  begun[1]?.finish('two');
  expect(await Promise.all(callers.map(({ result }) => result))).toEqual(['one', 'one', 'two']);
  join('a');
  expect(begun).toHaveLength(3);
});

test('one who leaves stops nothing while another waits; the last one does', async () => {
  const { begun, join } = createFixture();
  const [first, second] = [join('a'), join('a')];
  first.leave();
  await expect(first.result).rejects.toThrow('left');
  expect(begun[0]?.signal.aborted).toBe(false);
  second.leave();
  await expect(second.result).rejects.toThrow('left');
  expect(begun[0]?.signal.aborted).toBe(true);
  join('a');
  expect(begun).toHaveLength(2);
});

test('a failure is everybody’s, and is not kept', async () => {
  const { begun, join } = createFixture();
  const callers = [join('a'), join('a')];
  begun[0]?.fail(new Error('broken'));
  for (const { result } of callers) await expect(result).rejects.toThrow('broken');
  join('a');
  expect(begun).toHaveLength(2);
});
