import { describe, expect, it } from 'vitest';
import {
  ConfigError,
  envBoolean,
  envBytes,
  envChoice,
  envInt,
  envList,
  envNumber,
  envString,
} from './env.ts';

describe('a reader of the environment', () => {
  it('takes a value, or the default where it is unset or empty', () => {
    expect(envInt({ PORT: '80' }, 'PORT', { default: 1 })).toBe(80);
    expect(envInt({ PORT: ' ' }, 'PORT', { default: 1 })).toBe(1);
    expect(envNumber({ RATE: '0.5' }, 'RATE')).toBe(0.5);
    expect(envString({}, 'HOST', { default: 'x' })).toBe('x');
    expect(envList({ A: 'a, b,,c' }, 'A')).toEqual(['a', 'b', 'c']);
    expect(envList({}, 'A', { default: [] })).toEqual([]);
    expect(envChoice({ L: 'info' }, 'L', { choices: ['info', 'warn'] })).toBe('info');
    expect(envBoolean({ B: 'yes' }, 'B')).toBe(true);
    expect(envBoolean({ B: '0' }, 'B', { default: true })).toBe(false);
    expect(envBytes({ S: '64MiB' }, 'S')).toBe(64 * 1024 * 1024);
    expect(envBytes({ S: '2k' }, 'S')).toBe(2048);
    expect(envBytes({}, 'S', { default: 5 })).toBe(5);
  });

  it.each<[string, () => unknown, string]>([
    [
      'a port out of range',
      () => envInt({ PORT: '99999' }, 'PORT', { default: 8080, min: 0, max: 65535 }),
      'PORT="99999" is not valid; expected a whole number from 0 to 65535 (default 8080)',
    ],
    [
      'text for a number',
      () => envInt({ PORT: 'x' }, 'PORT'),
      'PORT="x" is not valid; expected a whole number',
    ],
    [
      'a hex number',
      () => envInt({ N: '0x10' }, 'N', { min: 1 }),
      'N="0x10" is not valid; expected a whole number of at least 1',
    ],
    ['something missing', () => envString({}, 'STORE_URL'), 'STORE_URL is not set; expected text'],
    [
      'no choice',
      () => envChoice({ L: 'loud' }, 'L', { choices: ['info', 'warn'], default: 'info' }),
      'L="loud" is not valid; expected one of info, warn (default info)',
    ],
    ['no boolean', () => envBoolean({ B: 'maybe' }, 'B'), 'B="maybe" is not valid; expected true or false'],
    [
      'no size',
      () => envBytes({ S: '1TB' }, 'S'),
      'S="1TB" is not valid; expected a size in bytes, such as 1048576 or 64MiB',
    ],
    [
      'a bad item',
      () => envList({ A: 'h:1,h' }, 'A', { item: /:\d+$/, form: 'host:port, comma-separated' }),
      'A="h:1,h" is not valid; expected host:port, comma-separated',
    ],
  ])('names variable, form and default for %s', (_, read, message) => {
    expect(read).toThrow(new ConfigError(message));
  });
});
