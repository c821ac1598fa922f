import { create } from '@bufbuild/protobuf';
import { type Image, ImageSchema, type Variant, VariantSchema } from '@imagemesh/api';
import { newTrace } from '@imagemesh/observe';
import { deadlineIn } from '@imagemesh/rpc';
import { expect, test } from 'vitest';
import { createRunOnce, workKey } from './run-once.ts';

const source = create(ImageSchema, { id: 'ab'.repeat(32) });
const resize = (width: number, name = '') =>
  create(VariantSchema, { name, operations: [{ operation: { case: 'resize', value: { width } } }] });

/** Two gateways with one set of results and one store. */
function createFixture() {
  const kept = new Map<string, { value: Image; revision: number }>();
  const stored = new Set<string>();
  const ran: string[] = [];
  const write = async (key: string, value: Image) => {
    const revision = (kept.get(key)?.revision ?? 0) + 1;
    kept.set(key, { value, revision });
    return revision;
  };
  const parts = {
    results: {
      get: async (key: string) => kept.get(key),
      create: async (key: string, value: Image) => (kept.has(key) ? undefined : write(key, value)),
      update: write,
    },
    store: { touchImage: async (id: string) => stored.has(id) },
    runVariant: async (_call: unknown, { id }: Image, variant: Variant) => {
      ran.push(variant.name);
      const image = create(ImageSchema, { id: workKey(id, variant) });
      stored.add(image.id);
      return image;
    },
  };
  return { gateways: [createRunOnce(parts), createRunOnce(parts)] as const, ran, stored, kept };
}

const call = (owner = 'ann') => ({
  owner,
  requestId: 'r',
  trace: newTrace(),
  signal: new AbortController().signal,
  deadline: deadlineIn(1000),
  class: 'job' as const,
});

test('work is the same whatever its name, and another if anything else differs', () => {
  const key = workKey(source.id, resize(10, 'a'));
  expect(workKey(source.id, resize(10, 'b'))).toBe(key);
  expect(workKey(source.id, resize(11))).not.toBe(key);
  expect(workKey('cd'.repeat(32), resize(10))).not.toBe(key);
  expect(
    workKey(source.id, create(VariantSchema, { operations: resize(10).operations, output: { quality: 50 } })),
  ).not.toBe(key);
});

test('identical work is done once: at the same time, later, in another gateway, for another owner', async () => {
  const { gateways, ran } = createFixture();
  const [first, second] = gateways;
  const together = await Promise.all([
    first(call(), source, resize(10, 'a')),
    first(call(), source, resize(10, 'b')),
  ]);
  const later = await second(call('bob'), source, resize(10, 'c'));
  expect(new Set([...together, later].map(({ id }) => id)).size).toBe(1);
  expect(ran).toEqual(['a']);
  await second(call(), source, resize(20, 'd'));
  expect(ran).toEqual(['a', 'd']);
});

test('a result whose bytes are gone is made again', async () => {
  const { gateways, ran, stored } = createFixture();
  await gateways[0](call(), source, resize(10, 'a'));
  stored.clear();
  await gateways[1](call(), source, resize(10, 'b'));
  await gateways[0](call(), source, resize(10, 'c'));
  expect(ran).toEqual(['a', 'b']);
});
