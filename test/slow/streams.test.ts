import { setTimeout as sleep } from 'node:timers/promises';
import { Format } from '@imagemesh/api';
import { createSessionPool, type SessionPool } from '@imagemesh/rpc';
import { noisePng, startMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { residentBytes } from '../../bench/processes.ts';
import { downloadImage, pixelsOf, transformStream, uploadImage } from '../mesh/calls.ts';

const mebibyte = 1024 * 1024;

let mesh: Awaited<ReturnType<typeof startMesh>>;
let pool: SessionPool;

beforeAll(async () => {
  mesh = await startMesh({ replicas: { resize: 1, filter: 1 }, nats: false });
  pool = createSessionPool(mesh.gatewayAddress);
});
afterAll(async () => {
  await pool?.close();
  await mesh?.stop();
});

describe('large images', () => {
  it('a 50 MB upload streams in, is stored whole and streams out', async () => {
    const source = await noisePng(50 * mebibyte);
    const watch = watchMemory();
    const image = await uploadImage(
      pool,
      { filename: 'noise.png', sizeBytes: BigInt(source.byteLength) },
      source,
    );
    const parts: Buffer[] = [];
    const described = await downloadImage(pool, image.id, (bytes) => {
      parts.push(bytes);
    });
    const grown = watch.stop();
    expect(Buffer.concat(parts).equals(source)).toBe(true);
    expect(described).toMatchObject({ id: image.id, filename: 'noise.png' });
    expect(described.info).toMatchObject({ format: Format.PNG, sizeBytes: BigInt(source.byteLength) });
    for (const [name, bytes] of Object.entries(grown)) {
      expect(bytes, `growth of ${name}`).toBeLessThan(2 * source.byteLength);
    }
  });

  it('a 20 MB image is transformed from a stream, its result too', async () => {
    const source = await noisePng(20 * mebibyte);
    const { bytes, header } = await transformStream(
      pool,
      { operations: [{ operation: { case: 'flip', value: {} } }], output: { effort: 0 } },
      source,
    );
    expect(bytes.byteLength).toBeGreaterThan(15 * mebibyte);
    expect(header.info?.sizeBytes).toBe(BigInt(bytes.byteLength));
    const before = await pixelsOf(source);
    const after = await pixelsOf(bytes);
    const last = before.width - 1;
    for (const [x, y] of [
      [0, 0],
      [1234, 567],
      [last, last],
    ] as const) {
      expect(after.at(last - x, y)).toEqual(before.at(x, y));
    }
  });

  it('a slow reader costs no process more than twice the image', async () => {
    const source = await noisePng(50 * mebibyte);
    const image = await uploadImage(pool, {}, source);
    await sleep(500);
    const watch = watchMemory();
    let received = 0;
    await downloadImage(pool, image.id, async (bytes) => {
      received += bytes.byteLength;
      if (received < 2 * mebibyte) await sleep(20);
    });
    const grown = watch.stop();
    expect(received).toBe(source.byteLength);
    for (const [name, bytes] of Object.entries(grown)) {
      expect(bytes, `growth of ${name}`).toBeLessThan(2 * source.byteLength);
    }
  });
});

/** Follows the resident memory of every process of the mesh; `stop` gives the largest growth of each, in bytes. */
function watchMemory() {
  const pids = ['gateway', 'balancer-1', 'resize-1', 'filter-1'].map(
    (name) => [name, mesh.process(name).pid] as const,
  );
  const before = new Map(pids.map(([name, pid]) => [name, residentBytes(pid)]));
  const peak = new Map(before);
  const sample = () => {
    for (const [name, pid] of pids) peak.set(name, Math.max(peak.get(name) ?? 0, residentBytes(pid)));
  };
  const timer = setInterval(sample, 20);
  return {
    stop(): Record<string, number> {
      clearInterval(timer);
      sample();
      return Object.fromEntries(
        pids.map(([name]) => [name, (peak.get(name) ?? 0) - (before.get(name) ?? 0)]),
      );
    },
  };
}
