import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkDataDir, claimPort } from './preflight.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'imagemesh-preflight-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('checkDataDir', () => {
  it('creates the folder with its parents', async () => {
    await checkDataDir(join(folder, 'a/b'));
    expect(existsSync(join(folder, 'a/b'))).toBe(true);
  });

  it('refuses a file, and a folder below one', async () => {
    writeFileSync(join(folder, 'file'), '');
    await expect(checkDataDir(join(folder, 'file'))).rejects.toThrow(
      /^DATA_DIR=.*cannot be written.*default .data/,
    );
    await expect(checkDataDir(join(folder, 'file/x'))).rejects.toThrow(/^DATA_DIR=/);
  });

  it('refuses a parent that takes no folders', async () => {
    await expect(checkDataDir('/proc/imagemesh')).rejects.toThrow(
      /^DATA_DIR=\/proc\/imagemesh cannot be written/,
    );
  });
});

describe('claimPort', () => {
  it('finds a free port for 0 and refuses one in use by name', async () => {
    const port = await claimPort('PORT', '127.0.0.1', 0);
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(port, '127.0.0.1', resolve));
    try {
      await expect(claimPort('PORT', '127.0.0.1', port)).rejects.toThrow(
        `PORT=${port}: 127.0.0.1:${port} is already in use; choose another port`,
      );
    } finally {
      holder.close();
    }
  });
});
