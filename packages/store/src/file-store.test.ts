import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { openStore } from './open-store.ts';
import { describeStore } from './testing/contract.ts';

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

describeStore({
  name: 'files',
  newUrl() {
    const folder = mkdtempSync(join(tmpdir(), 'imagemesh-store-'));
    folders.push(folder);
    return `file:${folder}`;
  },
  open: openStore,
});
