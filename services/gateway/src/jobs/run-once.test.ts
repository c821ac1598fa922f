import { create } from '@bufbuild/protobuf';
import { type Image, ImageSchema, JobPriority, type Variant, VariantSchema } from '@imagemesh/api';
import { newTrace } from '@imagemesh/observe';
import { deadlineIn } from '@imagemesh/rpc';
import { expect, test } from 'vitest';
import { createFindResult, createRunOnce } from './run-once.ts';
import { addResult, begin, newRecord } from './transitions.ts';
import { workKey } from './work-key.ts';

const source = create(ImageSchema, { id: 'ab'.repeat(32) });
const resize = (width: number, name = '') =>
  create(VariantSchema, { name, operations: [{ operation: { case: 'resize', value: { width } } }] });

/** Two gateways with one set of results and one store. */
function createFixture() {
  const kept = new Map<string, Image>();
  const stored = new Set<string>();
  const ran: string[] = [];
  const parts = {
    findResult: async (key: string) => kept.get(key),
    store: { touchImage: async (id: string) => stored.has(id) },
    runVariant: async (_call: unknown, { id }: Image, variant: Variant) => {
      ran.push(variant.name);
      const image = create(ImageSchema, { id: workKey(id, variant) });
      stored.add(image.id);
      kept.set(workKey(id, variant), image);
      return image;
    },
  };
  return { gateways: [createRunOnce(parts), createRunOnce(parts)] as const, ran, stored };
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

test('a result is found in the record of the job that has it, by its work and not by its name', async () => {
  const variants = [resize(10, 'a'), resize(20, 'b')];
  const given = { owner: 'ann', labels: {}, clientRequestId: '', requestId: '', traceparent: '', nowMs: 1 };
  const made = newRecord({ ...given, id: 'job', source, variants, priority: JobPriority.NORMAL });
  const image = create(ImageSchema, { id: 'cd'.repeat(32) });
  const value = addResult(begin(made, { token: 't', message: 1 }, 2), 'b', image);
  const find = createFindResult(
    { findWork: (key) => (key === 'lost' ? 'gone' : 'job') },
    { get: async (id) => (id === 'job' ? { value, revision: 1 } : undefined) },
  );
  expect(await find(workKey(source.id, resize(20, 'c')))).toEqual(image);
  expect(await find(workKey(source.id, resize(10)))).toBeUndefined();
  expect(await find(workKey(source.id, resize(30)))).toBeUndefined();
  expect(await find('lost')).toBeUndefined();
});
