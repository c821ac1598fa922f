import { expect, test } from 'vitest';
import { createUlids, isUlid, ulidTime } from './ulid.ts';

const seeded = (fill: number) => (count: number) => new Uint8Array(count).fill(fill);

test('a ULID is 26 characters that tell when it was made', () => {
  const ulid = createUlids(() => 1_469_918_176_385, seeded(0))();
  expect(ulid).toBe('01ARYZ6S410000000000000000');
  expect(isUlid(ulid)).toBe(true);
  expect(ulidTime(ulid)).toBe(1_469_918_176_385);
});

test('ULIDs grow within a millisecond, when the clock steps back and when the random part is used up', () => {
  for (const fill of [0, 7, 31]) {
    let ms = 1000;
    const next = createUlids(() => ms, seeded(fill));
    const made = [next(), next(), next()];
    ms = 900;
    made.push(next());
    ms = 1002;
    made.push(next(), next());
    expect(made.toSorted()).toEqual(made);
    expect(new Set(made).size).toBe(made.length);
  }
});

test('what is no ULID is refused', () => {
  for (const text of [
    '',
    '01ARYZ6S41000000000000000',
    '01ARYZ6S41000000000000000I',
    '../../../../etc/passwd0000',
    '81ARYZ6S410000000000000000',
  ]) {
    expect(isUlid(text)).toBe(false);
  }
});
