/** The process that attacks for hostile.ts: one kind at a time, from `begin` to `end`. */
import { constants, setPriority } from 'node:os';
import { attack } from '../test/hostile/attack.ts';
import { keyedKinds } from '../test/hostile/keyed-kinds.ts';
import type { KeyedTarget } from '../test/hostile/keyed-target.ts';
import type { Kind } from '../test/hostile/kind.ts';
import { kinds } from '../test/hostile/kinds.ts';

interface Message {
  readonly begin?: { readonly name: string; readonly target: KeyedTarget; readonly seed: number };
}

setPriority(constants.priority.PRIORITY_LOW);
const all: readonly Kind<KeyedTarget>[] = [...kinds, ...keyedKinds];
/** More than any window has room for. */
const requests = 10_000_000;
let ending = new AbortController();

process.on('message', ({ begin }: Message) => {
  if (begin === undefined) {
    ending.abort();
    return;
  }
  const { name, target, seed } = begin;
  const kind = all.find((one) => one.name === name);
  if (kind === undefined) throw new Error(`there is no kind ${name}`);
  ending = new AbortController();
  attack(kind, target, { requests, seed, signal: ending.signal }).then(
    (counts) => process.send?.({ counts }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
