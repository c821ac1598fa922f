/** No pattern of the services repeats a repetition: that is how a short input takes a regular expression for ever. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');

/** They repeat a repetition, but what separates its turns is in none of them, so there is one way to match. */
const harmless = [
  String.raw`^(?!\.+(?:\/|$))[A-Za-z0-9._-]{1,255}(?:\/(?!\.+(?:\/|$))[A-Za-z0-9._-]{1,255})*$`,
  String.raw`^(?:[A-Za-z0-9._-]+\/)*$`,
];

/** Whether something unbounded is inside a group that is itself repeated without bound. */
function nestsRepetition(pattern: string): boolean {
  const groups = [{ isUnbounded: false }];
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern[at];
    if (char === '\\') at++;
    else if (char === '[') {
      for (at++; pattern[at] !== ']' && at < pattern.length; at++) if (pattern[at] === '\\') at++;
    } else if (char === '(') groups.push({ isUnbounded: false });
    else if (char === ')') {
      const closed = groups.pop();
      const isRepeated = /^(?:[*+]|\{\d+,\})/.test(pattern.slice(at + 1, at + 12));
      if (closed?.isUnbounded === true && isRepeated) return true;
      const outer = groups.at(-1);
      if (outer !== undefined && (closed?.isUnbounded === true || isRepeated)) outer.isUnbounded = true;
    } else if (/^(?:[*+]|\{\d+,\})/.test(pattern.slice(at, at + 12))) {
      const inner = groups.at(-1);
      if (inner !== undefined) inner.isUnbounded = true;
    }
  }
  return false;
}

function patternsOf(path: string, text: string): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isRegularExpressionLiteral(node)) found.push(node.text.slice(1, node.text.lastIndexOf('/')));
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true));
  return found;
}

async function sourcesBelow(top: string): Promise<string[]> {
  const names: string[] = [];
  for (const workspace of await readdir(join(root, top))) {
    const paths = await readdir(join(root, top, workspace, 'src'), { recursive: true });
    names.push(...paths.map((path) => join(top, workspace, 'src', path)));
  }
  return names.filter((path) => /(?<!\.test)\.ts$/.test(path) && !path.includes('/gen/'));
}

it('tells a dangerous pattern from a harmless one', () => {
  expect(nestsRepetition('^(a+)+$')).toBe(true);
  expect(nestsRepetition('(?:x*y){2,}')).toBe(true);
  expect(nestsRepetition('^(?:%[0-9a-f]{2})+[+*)(]$')).toBe(false);
});

it('finds no dangerous pattern in the sources', async () => {
  const trees = await Promise.all(['packages', 'services'].map((top) => sourcesBelow(top)));
  const files = trees.flat();
  const patterns = await Promise.all(
    files.map(async (path) =>
      patternsOf(path, await readFile(join(root, path), 'utf8')).map((pattern) => ({ path, pattern })),
    ),
  );
  expect(patterns.flat().length).toBeGreaterThan(20);
  const dangerous = patterns
    .flat()
    .filter(({ pattern }) => nestsRepetition(pattern) && !harmless.includes(pattern));
  expect(dangerous).toEqual([]);
});
