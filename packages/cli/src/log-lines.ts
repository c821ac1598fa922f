/** The output of several processes on one terminal: each line begins with the name of who wrote it. */
import type { LogFormat } from './config.ts';

/** Fields of a JSON log line that the readable form leaves out or shows elsewhere. */
const hidden: ReadonlySet<string> = new Set(['level', 'time', 'name', 'pid', 'msg', 'err']);

/** Longest value shown in the readable form, in characters. */
const maxValueLength = 200;

/** "resize-1 | " plus the line, as it is or made readable; names are padded to `nameWidth`. */
export function formatLine(name: string, line: string, format: LogFormat, nameWidth: number): string {
  const prefix = `${name.padEnd(nameWidth)} | `;
  if (format === 'json') return prefix + line;
  const entry = parseEntry(line);
  return prefix + (entry === undefined ? line : readable(entry));
}

function parseEntry(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    // An object, by its first character; its keys are text.
    return value as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

function readable(entry: Record<string, unknown>): string {
  const time = typeof entry.time === 'string' ? `${entry.time.slice(11, 23)} ` : '';
  const level = typeof entry.level === 'string' ? entry.level.padEnd(5) : 'info ';
  const message = typeof entry.msg === 'string' ? entry.msg : '';
  const fields = Object.entries(entry)
    .filter(([key, value]) => !hidden.has(key) && value !== undefined && value !== null && value !== '')
    .map(([key, value]) => `${key}=${shown(value)}`);
  return [`${time}${level} ${message}`, ...fields, ...errorLines(entry.err)].join(' ').trimEnd();
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > maxValueLength ? `${text.slice(0, maxValueLength)}…` : text;
}

/** An error with its stack, which is worth more lines than one. */
function errorLines(error: unknown): readonly string[] {
  if (typeof error !== 'object' || error === null) return [];
  if ('stack' in error && typeof error.stack === 'string') return [`\n${error.stack}`];
  return 'message' in error ? [String(error.message)] : [];
}
