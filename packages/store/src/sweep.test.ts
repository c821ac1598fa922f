import { expect, test } from 'vitest';
import type { ListedImage } from './blob-store.ts';
import { chooseGarbage } from './sweep.ts';

test('chooses the oldest first, and no more than the budget asks for', () => {
  const image = (id: string, sizeBytes: number, usedMs: number): ListedImage => ({ id, sizeBytes, usedMs });
  const unneeded = [image('c', 5, 300), image('a', 5, 100), image('b', 5, 200)];
  const chosen = (maxBytes: number, unclaimedTtlMs: number) =>
    chooseGarbage(unneeded, 100, { maxBytes, unclaimedTtlMs }, 1000).map(({ id }) => id);
  expect(chosen(100, 2000)).toEqual([]);
  expect(chosen(99, 2000)).toEqual(['a']);
  expect(chosen(95, 2000)).toEqual(['a']);
  expect(chosen(94, 2000)).toEqual(['a', 'b']);
  expect(chosen(0, 2000)).toEqual(['a', 'b', 'c']);
  expect(chosen(100, 750)).toEqual(['a', 'b']);
});
