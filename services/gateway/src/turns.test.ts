import { expect, it } from 'vitest';
import { createTurns } from './turns.ts';

function start(perTurn: number) {
  const next: (() => void)[] = [];
  let nowMs = 0;
  const turns = createTurns({
    perTurn,
    nextTurn: (callback) => void next.push(callback),
    now: () => nowMs,
  });
  const ran: string[] = [];
  return {
    ran,
    run: (connection: object, name: string) => turns.run(connection, () => void ran.push(name)),
    /** Whether there was a turn to take. */
    turn: () => {
      nowMs += 1;
      const callbacks = next.splice(0);
      for (const callback of callbacks) callback();
      return callbacks.length > 0;
    },
  };
}

it('runs what is within the share of a connection at once, and the rest in its order, turn by turn', () => {
  const { ran, run, turn } = start(2);
  const [greedy, modest] = [{}, {}];
  for (const name of ['a', 'b', 'c', 'd', 'e']) run(greedy, name);
  expect(ran).toEqual(['a', 'b']);
  run(modest, 'x');
  expect(ran).toEqual(['a', 'b', 'x']);
  turn();
  expect(ran).toEqual(['a', 'b', 'x', 'c', 'd']);
  run(greedy, 'f');
  run(modest, 'y');
  expect(ran.slice(5)).toEqual(['y']);
  turn();
  expect(ran.slice(5)).toEqual(['y', 'e', 'f']);
});

it('asks for no turn for a connection that keeps to its share', () => {
  const { ran, run, turn } = start(1);
  const connection = {};
  run(connection, 'a');
  expect(turn()).toBe(false);
  run(connection, 'b');
  run(connection, 'c');
  expect(ran).toEqual(['a', 'b']);
  expect(turn()).toBe(true);
  expect(turn()).toBe(false);
  run(connection, 'd');
  expect(ran).toEqual(['a', 'b', 'c', 'd']);
});

it('takes no more of a crowd in a turn than of one', () => {
  const { ran, run, turn } = start(1);
  const all = {};
  for (let count = 0; count < 100; count++) run(all, 'x');
  turn();
  run(all, 'x');
  expect(ran).toHaveLength(2);
  let turns = 1;
  while (turn()) turns++;
  expect([ran.length, turns]).toEqual([101, 100]);
});
