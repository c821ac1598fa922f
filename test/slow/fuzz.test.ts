import { startMesh, type TestMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fuzz } from '../fuzz/fuzz.ts';

let mesh: TestMesh;
beforeAll(async () => {
  mesh = await startMesh({ replicas: { resize: 1, filter: 1 }, nats: false });
});
afterAll(() => mesh?.stop());

it('damaged images end in a result or a typed error, and take nothing down', async () => {
  const pids = () => mesh.replicaNames().map((name) => mesh.process(name).pid);
  const before = pids();
  const { ends, failures } = await fuzz(mesh, { seed: 20_260, count: 1000 });
  expect(failures.map(({ index, what }) => `${index}: ${what}`)).toEqual([]);
  // Both ways are taken: some damage is harmless.
  expect(ends.get('OK')).toBeGreaterThan(50);
  expect(ends.get('DAMAGED_IMAGE')).toBeGreaterThan(50);
  expect(pids()).toEqual(before);
});
