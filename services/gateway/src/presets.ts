/** Named presets, from a file: one a line, `<name> <operations>` in the syntax of URLs; # begins a comment. */
import { readFile } from 'node:fs/promises';
import { ConfigError } from '@imagemesh/observe';
import { MeshError } from '@imagemesh/rpc';
import { type FollowSettings, openSettingFile } from './setting-file.ts';
import { type FindPreset, type ParsedOperations, parseOperations } from './syntax/parse-operations.ts';

const maxPresets = 1000;
const maxFileBytes = 1024 * 1024;
const linePattern = /^\s*([a-z0-9][a-z0-9_-]{0,63})\s+(\S+)\s*$/;

export interface Presets {
  readonly find: FindPreset;
  close(): void;
}

/** The presets of the file, now; none for an empty path. ConfigError that names the line. */
export async function openPresets(path: string, settings: FollowSettings): Promise<Presets> {
  if (path === '') return { find: () => undefined, close: () => {} };
  const file = await openSettingFile(path, { load: readPresets, name: 'presets', ...settings });
  return { find: (name) => file.current(name), close: file.close };
}

/** As they are now. ConfigError that names the line. */
export async function readPresets(path: string): Promise<FindPreset> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new ConfigError(`PRESETS_FILE: ${path} cannot be read`, { cause });
  });
  return parsePresets(text, path);
}

export function parsePresets(text: string, path: string): FindPreset {
  const presets = new Map<string, ParsedOperations>();
  if (text.length > maxFileBytes)
    throw new ConfigError(`PRESETS_FILE: ${path} is larger than ${maxFileBytes} bytes`);
  for (const [index, line] of text.split('\n').entries()) {
    if (/^\s*(?:#|$)/.test(line)) continue;
    const wrong = (what: string, cause?: unknown) =>
      new ConfigError(`PRESETS_FILE: ${path}:${index + 1}: ${what}`, { cause });
    const [, name = '', operations = ''] = linePattern.exec(line) ?? [];
    if (name === '')
      throw wrong('a line is a name of a-z, 0-9, _ and -, a space, and operations without spaces');
    if (presets.has(name)) throw wrong(`the preset ${name} is there already`);
    if (presets.size >= maxPresets) throw wrong(`there may be ${maxPresets} presets`);
    try {
      presets.set(name, parseOperations(operations));
    } catch (error) {
      throw error instanceof MeshError ? wrong(error.message.replace(/^ops: /, ''), error) : error;
    }
  }
  return (name) => presets.get(name);
}
