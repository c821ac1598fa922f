import { create } from '@bufbuild/protobuf';
import { ImageInfoSchema } from '@imagemesh/api';
import { expect, it } from 'vitest';
import { type CachedResult, createResultCache } from './result-cache.ts';

const info = create(ImageInfoSchema);
const result = (size: number): CachedResult => ({ bytes: new Uint8Array(size), info, etag: '' });
const signal = () => new AbortController().signal;

it('keeps to its budget, and what was used last', async () => {
  const cache = createResultCache(40_000);
  let made = 0;
  const ask = (key: string, size = 8000) =>
    cache.get(key, signal(), async () => {
      made += 1;
      return result(size);
    });
  for (const key of ['a', 'b', 'c', 'd']) await ask(key);
  expect(made).toBe(4);
  await ask('a');
  await ask('e');
  await ask('a');
  expect([made, cache.usedBytes <= 40_000]).toEqual([5, true]);
  await ask('b');
  expect(made).toBe(6);
  await ask('large', 20_000);
  await ask('large', 20_000);
  expect(made).toBe(8);
});

it('makes once what several ask for, and ends the work when the last has left', async () => {
  const cache = createResultCache(40_000);
  const works: { signal: AbortSignal; finish: (made: CachedResult) => void }[] = [];
  const ask = (leave: AbortController) =>
    cache.get('a', leave.signal, (work) => new Promise((finish) => works.push({ signal: work, finish })));
  const [first, second] = [new AbortController(), new AbortController()];
  const asked = [ask(first), ask(second)] as const;
  first.abort(new Error('left'));
  await expect(asked[0]).rejects.toThrow('left');
  expect(works.map((work) => work.signal.aborted)).toEqual([false]);
  second.abort(new Error('left too'));
  await expect(asked[1]).rejects.toThrow('left too');
  expect(works.map((work) => work.signal.aborted)).toEqual([true]);
  // The next starts anew, and gets what it asked for.
  const third = ask(new AbortController());
  works[1]?.finish(result(1));
  expect((await third).bytes.length).toBe(1);
  await ask(new AbortController());
  expect(works.length).toBe(2);
});

it('remembers no failure', async () => {
  const cache = createResultCache(40_000);
  const fail = async () => {
    throw new Error('no');
  };
  await expect(cache.get('a', signal(), fail)).rejects.toThrow('no');
  expect((await cache.get('a', signal(), async () => result(1))).bytes.length).toBe(1);
});
