import { expect, it } from 'vitest';
import { createExchange } from './exchange.ts';

it('hands values over one at a time, each put settled once its value was taken', async () => {
  const { put, end, items } = createExchange<number>();
  const log: string[] = [];
  const putting = (async () => {
    for (const value of [1, 2]) {
      await put(value);
      log.push(`put ${value}`);
    }
    end();
  })();
  for await (const value of items()) log.push(`got ${value}`);
  await putting;
  expect(log).toEqual(['got 1', 'put 1', 'got 2', 'put 2']);
});

it('throws what it ended with, behind what was put', async () => {
  const { put, end, items } = createExchange<number>();
  const got: number[] = [];
  const putting = put(1).then(() => end(new Error('broken')));
  await expect(
    (async () => {
      for await (const value of items()) got.push(value);
    })(),
  ).rejects.toThrow('broken');
  await putting;
  expect(got).toEqual([1]);
});

it('lets nobody wait for a taker who left', async () => {
  const { put, items, abandon } = createExchange<number>();
  const first = put(1);
  for await (const _ of items()) break;
  await first;
  const second = put(2);
  abandon();
  await second;
  await put(3);
});
