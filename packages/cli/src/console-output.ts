/** Where the launcher and its processes write: one terminal, lines with names. */
import type { Stream } from './child.ts';
import type { LogFormat } from './config.ts';
import { formatLine } from './log-lines.ts';

export interface Output {
  /** A line of a process. */
  line(name: string, line: string, stream: Stream): void;
  /** A line of the launcher. */
  say(line: string): void;
}

export function createOutput(format: LogFormat, nameWidth: number): Output {
  // Who reads our output may go away (`imagemesh up | head`); the mesh goes on.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  return {
    line: (name, line, stream) => process[stream].write(`${formatLine(name, line, format, nameWidth)}\n`),
    say: (line) => process.stdout.write(`${formatLine('imagemesh', line, format, nameWidth)}\n`),
  };
}
