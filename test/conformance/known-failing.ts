/** Reads known-failing.txt and holds what failed against it. */

/** A case of the suite that failed. */
export interface Failure {
  readonly name: string;
  /** All that the runner has against it. */
  readonly errors: readonly string[];
}

interface Known {
  readonly pattern: string;
  readonly errors: readonly string[];
  /** Need not fail every time. */
  readonly isSometimes: boolean;
}

export interface Judgement {
  readonly unexpected: readonly Failure[];
  /** How many failed as they are known to. */
  readonly known: number;
  /** Patterns under which nothing failed. */
  readonly stale: readonly string[];
}

/** The failures in the output of the runner: "FAILED: name:" and indented lines. */
export function failuresIn(output: string): Failure[] {
  return [...output.matchAll(/^FAILED: (.*):\n((?:\t.*\n?)*)/gm)].map(([, name = '', errors = '']) => ({
    name,
    errors: errors
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== ''),
  }));
}

export function judge(failures: readonly Failure[], list: string): Judgement {
  const all = parse(list);
  const met = new Set<Known>();
  const unexpected = failures.filter(({ name, errors }) => {
    const known = all.filter(({ pattern }) => matches(pattern, name));
    for (const each of known) met.add(each);
    return !known.some((each) => isSame(each.errors, errors));
  });
  const stale = all.filter((each) => !each.isSometimes && !met.has(each)).map(({ pattern }) => pattern);
  return { unexpected, known: failures.length - unexpected.length, stale };
}

/** Sections are parted by empty lines. */
function parse(list: string): Known[] {
  return list.split(/\n{2,}/).flatMap((section) => {
    const lines = section.split('\n').map((line) => line.trim());
    const errors = lines.flatMap((line) => /^# error: (.*)$/.exec(line)?.[1] ?? []);
    const isSometimes = lines.includes('# sometimes');
    return lines
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((pattern) => ({ pattern, errors, isSometimes }));
  });
}

/** "*" is any part of a name between slashes, "**" any number of such parts, as in the runner's own patterns. */
function matches(pattern: string, name: string): boolean {
  const parts = pattern.split('/').map((part) => {
    if (part === '**') return '(?:[^/]+/)*';
    return `${part.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^/]*')}/`;
  });
  return new RegExp(`^${parts.join('')}$`).test(`${name}/`);
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((each) => b.includes(each));
}
