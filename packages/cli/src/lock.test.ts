import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findMesh, takeLock } from './lock.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'imagemesh-lock-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A process that is certainly gone: numbers end below 2^22 on Linux. */
const gone = 2 ** 22 + 1;

describe('takeLock', () => {
  it('is held by one process, and tells others where its mesh is', () => {
    const lock = takeLock(folder);
    lock.update({ url: 'http://127.0.0.1:1', balancer: '127.0.0.1:2', natsUrl: '' });
    expect(() => takeLock(folder)).toThrow(/belongs to a mesh that runs at http:\/\/127.0.0.1:1 \(pid \d+\)/);
    expect(findMesh(folder)).toMatchObject({ pid: process.pid, balancer: '127.0.0.1:2' });
    lock.release();
    expect(findMesh(folder)).toBeUndefined();
    expect(readdirSync(folder)).toEqual([]);
  });

  it('takes over the lock of a process that is gone', () => {
    writeFileSync(join(folder, 'lock'), JSON.stringify({ pid: gone }));
    const lock = takeLock(folder);
    expect(lock.wasStale).toBe(true);
    lock.release();
  });

  it('takes over the lock of an earlier process that had the number of a living one', () => {
    writeFileSync(join(folder, 'lock'), JSON.stringify({ pid: process.pid, startedAt: 'another-boot:1' }));
    expect(findMesh(folder)).toBeUndefined();
    takeLock(folder).release();
  });

  it('takes over a lock that is no lock', () => {
    writeFileSync(join(folder, 'lock'), 'half a li');
    takeLock(folder).release();
    expect(readdirSync(folder)).toEqual([]);
  });
});
