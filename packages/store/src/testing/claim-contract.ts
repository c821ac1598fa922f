import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { Format, ImageSchema } from '@imagemesh/api';
import { describe, expect, it } from 'vitest';
import { listedKey } from '../claim-keys.ts';
import { ANONYMOUS, type Claims } from '../claims.ts';
import type { Engine } from './engine.ts';

const image = (filename: string) =>
  create(ImageSchema, {
    id: 'ab'.repeat(32),
    info: { format: Format.PNG, width: 3, height: 2, sizeBytes: 70n },
    filename,
    createTime: { seconds: 1_700_000_000n, nanos: 0 },
  });

const numbered = (number: number, createdMs: number) =>
  create(ImageSchema, {
    ...image(`${number}`),
    id: number.toString(16).padStart(64, '0'),
    createTime: timestampFromMs(createdMs),
  });

async function pages(claims: Claims, owner: string, limit: number): Promise<string[][]> {
  const all: string[][] = [];
  let after: string | undefined;
  do {
    const page = await claims.list(owner, { limit, after });
    all.push(page.images.map(({ filename }) => filename));
    after = page.next;
  } while (after !== undefined);
  return all;
}

export function describeClaims({ name, newUrl, open }: Engine): void {
  describe(`claims on ${name}`, () => {
    it('the first claim stands, whoever else comes, and each owner has its own', async () => {
      const { claims } = await open(newUrl());
      expect(await claims.get(ANONYMOUS, image('').id)).toBeUndefined();
      const added = await Promise.all(['a', 'b', 'c'].map((name) => claims.add(ANONYMOUS, image(name))));
      const first = await claims.get(ANONYMOUS, image('').id);
      expect(new Set([...added, first].map((claim) => claim?.filename)).size).toBe(1);
      expect(first).toEqual(image(first?.filename ?? ''));
      expect(await claims.get('somebody', image('').id)).toBeUndefined();
      expect((await claims.add('somebody', image('mine'))).filename).toBe('mine');
    });

    it("lists an owner's images, newest first, in pages that miss none and repeat none", async () => {
      const { claims } = await open(newUrl());
      // Over days, hours, and several within one millisecond.
      const startMs = 1_700_000_000_000;
      const times = Array.from({ length: 50 }, (_, at) => startMs + Math.floor(at / 3) * 7_777_777);
      await Promise.all(times.map((ms, at) => claims.add('a', numbered(at, ms))));
      await claims.add('b', numbered(99, startMs));
      const whole = await pages(claims, 'a', 1000);
      expect(whole).toHaveLength(1);
      const listed = whole[0] ?? [];
      const listedMs = listed.map((name) => times[Number(name)] ?? 0);
      expect(new Set(listed).size).toBe(50);
      expect(listedMs).toEqual(listedMs.toSorted((a, b) => b - a));
      for (const limit of [1, 7, 10, 16, 17, 25, 49, 50, 51]) {
        const paged = await pages(claims, 'a', limit);
        expect(paged.flat()).toEqual(listed);
        expect(paged.slice(0, -1).every((page) => page.length === limit)).toBe(true);
        expect(paged.at(-1)).not.toEqual([]);
      }
      expect(await pages(claims, 'b', 10)).toEqual([['99']]);
      expect(await pages(claims, 'nobody', 10)).toEqual([[]]);
    });

    it('a claim that was dropped is gone, listed no more, and can be made again', async () => {
      const { claims } = await open(newUrl());
      const [first, second] = [numbered(1, 1000), numbered(2, 2000)];
      for (const each of [first, second]) for (const owner of ['a', 'b']) await claims.add(owner, each);
      expect(await claims.remove('a', first.id)).toEqual(first);
      expect(await claims.remove('a', first.id)).toBeUndefined();
      expect(await claims.get('a', first.id)).toBeUndefined();
      expect(await claims.get('b', first.id)).toEqual(first);
      expect(await pages(claims, 'a', 10)).toEqual([['2']]);
      await claims.add('a', numbered(1, 3000));
      expect(await pages(claims, 'a', 10)).toEqual([['1', '2']]);
      await Promise.all([first, second].map(({ id }) => claims.remove('a', id)));
      expect(await pages(claims, 'a', 10)).toEqual([[]]);
      expect(await claims.remove('a', '../../store-id')).toBeUndefined();
    });

    it('what a crash left in a list is passed over, and a page after it is full', async () => {
      const { claims, entries } = await open(newUrl());
      for (let at = 0; at < 20; at += 1) {
        await claims.add('a', numbered(at, at));
        // Listed, then the crash: no claim.
        await entries.create(listedKey('a', 'f'.repeat(64), at), Buffer.alloc(0));
      }
      const all = await pages(claims, 'a', 8);
      expect(all.map((page) => page.length)).toEqual([8, 8, 4]);
    });

    it('what can be no claim is none', async () => {
      const { claims } = await open(newUrl());
      expect(await claims.get('../x', image('').id)).toBeUndefined();
      expect(await claims.get(ANONYMOUS, '../../store-id')).toBeUndefined();
      await expect(claims.add('../x', image(''))).rejects.toMatchObject({ reason: 'INTERNAL' });
    });

    it('an entry is created once, whoever else tries; entries are listed in order', async () => {
      const { entries } = await open(newUrl());
      const tries = Array.from({ length: 10 }, (_, at) => entries.create('a/1', Buffer.from(`${at}`)));
      const won = (await Promise.all(tries)).flatMap((isMine, at) => (isMine ? [at] : []));
      expect(won).toHaveLength(1);
      expect((await entries.read('a/1'))?.toString()).toBe(`${won[0]}`);
      await entries.replace('a/1', Buffer.from('other'));
      expect((await entries.read('a/1'))?.toString()).toBe('other');
      for (const key of ['a/3/y', 'a/2', 'a/3/x', 'b/1']) await entries.replace(key, Buffer.from(key));
      const listed = async (after?: string) => {
        const keys: string[] = [];
        for await (const key of entries.list('a', after)) keys.push(key);
        return keys;
      };
      expect(await listed()).toEqual(['a/1', 'a/2', 'a/3/x', 'a/3/y']);
      expect(await listed('a/2')).toEqual(['a/3/x', 'a/3/y']);
      expect(await listed('a/3/x')).toEqual(['a/3/y']);
      expect(await listed('a/4')).toEqual([]);
      for (const key of ['a/3/x', 'a/3/y', 'a/3/y']) await entries.remove(key);
      expect(await listed()).toEqual(['a/1', 'a/2']);
      expect(await entries.read('a/3/x')).toBeUndefined();
    });
  });
}
