import { describe, expect, it } from 'vitest';
import { createHandOff } from './hand-off.ts';

describe('createHandOff', () => {
  it('hands items over in order, one at a time', async () => {
    const handOff = createHandOff<number>();
    const seen: number[] = [];
    const reading = (async () => {
      for await (const item of handOff.items) {
        seen.push(item);
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    for (let item = 0; item < 5; item++) {
      await handOff.put(item);
      expect(seen).toEqual(Array.from({ length: item + 1 }, (_, index) => index));
    }
    handOff.end();
    await reading;
    expect(seen).toEqual([0, 1, 2, 3, 4]);
  });

  it('shows the reader the end, or the error, even before any item', async () => {
    const ended = createHandOff<number>();
    ended.end();
    expect(await ended.items[Symbol.asyncIterator]().next()).toEqual({ done: true, value: undefined });
    const failed = createHandOff<number>();
    const next = failed.items[Symbol.asyncIterator]().next();
    failed.end(new Error('broken'));
    await expect(next).rejects.toThrow('broken');
  });

  it('tells the writer when the reader has stopped', async () => {
    const handOff = createHandOff<number>();
    const writing = handOff.put(1);
    for await (const _ of handOff.items) break;
    await expect(writing).rejects.toThrow('stopped');
    await expect(handOff.put(2)).rejects.toThrow('stopped');
  });
});
