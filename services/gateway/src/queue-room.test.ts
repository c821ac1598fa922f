import { describe, expect, it } from 'vitest';
import { hasQueueRoom } from './queue-room.ts';

const mebibyte = 1024 ** 2;
const queues = (count: number, mebibytes: number) =>
  Array.from({ length: count }, () => ({ writableLength: mebibytes * mebibyte }));

describe('hasQueueRoom', () => {
  it('lets one connection queue a window', () => {
    const [slow = { writableLength: 0 }] = queues(1, 17);
    expect(hasQueueRoom([slow], slow)).toBe(true);
    expect(hasQueueRoom([slow], { writableLength: slow.writableLength + 1 })).toBe(false);
  });

  it('lets all of them queue 128 MiB together, and each one a little in any case', () => {
    const [slow = { writableLength: 0 }] = queues(1, 17);
    expect(hasQueueRoom(queues(8, 17), slow)).toBe(true);
    expect(hasQueueRoom(queues(9, 17), slow)).toBe(false);
    expect(hasQueueRoom(queues(1000, 17), { writableLength: mebibyte })).toBe(true);
    expect(hasQueueRoom(queues(1000, 1), slow)).toBe(true);
  });
});
