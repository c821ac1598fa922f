import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MeshError } from '@imagemesh/rpc';
import { type BlobStore, openBlobStore } from '@imagemesh/store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBodyHolder, type HoldOptions, holdBytes } from './body.ts';
import { createMemoryBudget } from './memory-budget.ts';

let folder: string;
let store: BlobStore;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'body-test-'));
  store = await openBlobStore(`file:${folder}/store`);
});
afterAll(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

function options(overrides: Partial<HoldOptions> = {}): HoldOptions {
  const budget = createMemoryBudget(1_000_000);
  return {
    maxBytes: 1000,
    memoryBytes: 100,
    store,
    budget,
    signal: new AbortController().signal,
    ...overrides,
  };
}

async function hold(pieces: readonly Uint8Array[], holdOptions: HoldOptions) {
  const holder = createBodyHolder(holdOptions);
  try {
    for (const piece of pieces) await holder.write(piece);
    return await holder.finish();
  } catch (error) {
    await holder.abort(error);
    throw error;
  }
}

const bytes = (count: number, value = 7) => new Uint8Array(count).fill(value);

async function temporaries(): Promise<number> {
  return store.sweepLeftovers(-1000);
}

describe('createBodyHolder', () => {
  it('holds a small body in memory and gives the memory back', async () => {
    const budget = createMemoryBudget(1_000_000);
    const held = await hold([bytes(40, 1), bytes(60, 2)], options({ budget }));
    expect(held).toMatchObject({ kind: 'memory', sizeBytes: 100 });
    expect(held.kind === 'memory' && Buffer.from(held.bytes)).toEqual(
      Buffer.concat([bytes(40, 1), bytes(60, 2)]),
    );
    expect(budget.usedBytes).toBeGreaterThanOrEqual(100);
    await held.release();
    expect(budget.usedBytes).toBe(0);
  });

  it('moves a larger body to the store, byte for byte, and deletes it on release', async () => {
    const budget = createMemoryBudget(1_000_000);
    const pieces = Array.from({ length: 9 }, (_, index) => bytes(100, index));
    const held = await hold(pieces, options({ budget }));
    if (held.kind !== 'temporary') throw new Error('not in the store');
    expect(budget.usedBytes).toBe(0);
    const blob = await store.readTemporary(held.id);
    expect(await blob.bytes()).toEqual(Buffer.concat(pieces));
    await held.release();
    await expect(store.readTemporary(held.id)).rejects.toMatchObject({ reason: 'BLOB_NOT_FOUND' });
  });

  it('refuses a body over the limit as soon as it is over, and keeps nothing', async () => {
    await temporaries();
    await expect(
      hold(
        Array.from({ length: 11 }, () => bytes(100)),
        options(),
      ),
    ).rejects.toMatchObject({
      reason: 'BODY_TOO_LARGE',
    });
    expect(await temporaries()).toBe(0);
    expect(() => createBodyHolder(options({ expectedBytes: 1001 }))).toThrow(MeshError);
  });

  it('refuses a body of another size than announced', async () => {
    await expect(hold([bytes(50)], options({ expectedBytes: 51 }))).rejects.toMatchObject({
      reason: 'SIZE_MISMATCH',
    });
    await expect(hold([bytes(50)], options({ expectedBytes: 49 }))).rejects.toMatchObject({
      reason: 'SIZE_MISMATCH',
    });
    expect(await hold([bytes(50)], options({ expectedBytes: 50 }))).toMatchObject({ sizeBytes: 50 });
  });

  it('stops at what the inspector says, and gives its memory back', async () => {
    const budget = createMemoryBudget(1_000_000);
    const inspect = () => {
      throw new MeshError('NOT_AN_IMAGE', 'no');
    };
    await expect(hold([bytes(10)], options({ budget, inspect }))).rejects.toMatchObject({
      reason: 'NOT_AN_IMAGE',
    });
    expect(budget.usedBytes).toBe(0);
  });

  it('goes to the store when the memory of all calls is used up', async () => {
    const budget = createMemoryBudget(150);
    const first = await hold([bytes(100)], options({ budget }));
    const second = await hold([bytes(40, 1), bytes(60, 2)], options({ budget }));
    expect(second).toMatchObject({ kind: 'temporary', sizeBytes: 100 });
    await second.release();
    await first.release();
    expect((await hold([bytes(100)], options({ budget }))).kind).toBe('memory');
  });

  it("reports the store's failure, not that its reader stopped", async () => {
    const failing = {
      putTemporary: async () => {
        throw new MeshError('STORE_FULL', 'full');
      },
      deleteTemporary: async () => {},
    };
    const pieces = Array.from({ length: 5 }, () => bytes(100));
    await expect(hold(pieces, options({ store: failing }))).rejects.toMatchObject({ reason: 'STORE_FULL' });
  });

  it('leaves nothing behind when the caller goes away in the middle', async () => {
    await temporaries();
    const leaving = new AbortController();
    const holder = createBodyHolder(options({ signal: leaving.signal }));
    await holder.write(bytes(100));
    await holder.write(bytes(100));
    leaving.abort(new MeshError('CANCELLED', 'gone'));
    expect(() => holder.write(bytes(1))).toThrow('gone');
    await holder.abort(leaving.signal.reason);
    expect(await temporaries()).toBe(0);
  });

  it('holds an empty body', async () => {
    expect(await hold([], options())).toMatchObject({ kind: 'memory', sizeBytes: 0 });
  });
});

describe('holdBytes', () => {
  it('does not copy what stays in memory', async () => {
    const whole = bytes(100);
    const held = await holdBytes(whole, options());
    expect(held.kind === 'memory' && held.bytes === whole).toBe(true);
  });
});
