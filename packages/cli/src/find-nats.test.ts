import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findNatsServer } from './find-nats.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'imagemesh-nats-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function program(...path: readonly string[]): string {
  const file = join(folder, ...path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, '#!/bin/sh\n');
  chmodSync(file, 0o755);
  return file;
}

const silent = () => {};

describe('findNatsServer', () => {
  it('prefers NATS_SERVER_BIN to PATH', async () => {
    const named = program('named');
    program('bin/nats-server');
    const env = { NATS_SERVER_BIN: named, PATH: join(folder, 'bin') };
    expect(await findNatsServer(env, silent)).toBe(named);
  });

  it('finds the program on PATH', async () => {
    const found = program('bin/nats-server');
    expect(await findNatsServer({ PATH: `/nonexistent:${join(folder, 'bin')}` }, silent)).toBe(found);
  });

  it('refuses a NATS_SERVER_BIN that is no program', async () => {
    await expect(findNatsServer({ NATS_SERVER_BIN: join(folder, 'no') }, silent)).rejects.toThrow(
      /^NATS_SERVER_BIN=/,
    );
  });
});
