import { randomBytes } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { Destination, OperationSchema } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { imageRef, temporaryRef } from './blob-refs.ts';
import { createMemoryBudget } from './memory-budget.ts';
import { type Answer, blur, context, encoded, info, pixels, plan, resize, source } from './testing/peer.ts';
import { createPipelineHarness, type PipelineHarness } from './testing/pipeline-harness.ts';

let harness: PipelineHarness;
beforeAll(async () => {
  harness = await createPipelineHarness();
});
afterEach(() => harness.clear());
afterAll(() => harness.close());

/** A balancer with replicas of another store. */
function ofOtherStore(answer: Answer): Answer {
  return async (seen, wire) => {
    if (seen.headers['im-store'] !== undefined) throw new MeshError('STORE_NOT_SHARED', 'not shared');
    return answer(seen, wire);
  };
}

const put = async (bytes: Buffer) => (await harness.store.putImage(bytes, { maxBytes: 1e6 })).id;

describe('replicas that do not share the store', () => {
  it('get a stored image as bytes, from the second call on without being asked', async () => {
    const bytes = randomBytes(1000);
    const stored = { info, sizeBytes: 1000, blob: imageRef(await put(bytes)) };
    const { address, seen } = await harness.startPeer(ofOtherStore(encoded));
    const budget = createMemoryBudget(1e6);
    const runner = harness.createRunner([address], budget);
    for (let time = 0; time < 2; time += 1) {
      const result = await runner.run(context(), stored, plan([resize]));
      expect(result).toMatchObject({ sizeBytes: 2, held: { kind: 'memory' } });
      await result.release();
    }
    expect(seen.map(({ bytes: sent }) => sent.length)).toEqual([0, 1000, 1000]);
    expect(seen[1]?.bytes.equals(bytes)).toBe(true);
    expect(seen[1]?.spec).toMatchObject({ sizeBytes: 1000n, destination: Destination.INLINE });
    expect(seen[1]?.spec.blob).toBeUndefined();
    expect(budget.usedBytes).toBe(0);
  });

  it('get a temporary blob as bytes too', async () => {
    const bytes = randomBytes(500);
    const { id } = await harness.store.putTemporary(bytes, { maxBytes: 1000 });
    const { address, seen } = await harness.startPeer(ofOtherStore(encoded));
    const held = { info, sizeBytes: 500, blob: temporaryRef(id) };
    await (await harness.createRunner([address]).run(context(), held, plan([resize]))).release();
    expect(seen[1]?.bytes.equals(bytes)).toBe(true);
  });

  it('send back the result of a job, which the gateway stores', async () => {
    const { address, seen } = await harness.startPeer(
      ofOtherStore(async (call, wire) => await (call.path.endsWith('Filter') ? pixels : encoded)(call, wire)),
    );
    const budget = createMemoryBudget(1e9);
    const result = await harness
      .createRunner([address], budget)
      .run(context(), source, plan([blur, resize]), { isStored: true });
    if (result.held.kind !== 'image') throw new Error(`held as ${result.held.kind}`);
    const blob = await harness.store.readImage(result.held.id);
    expect(await blob.bytes()).toEqual(Buffer.of(9, 9));
    expect(result.sizeBytes).toBe(2);
    expect(seen.at(-1)?.spec.destination).toBe(Destination.INLINE);
    await result.release();
    expect(budget.usedBytes).toBe(0);
  });

  it('cannot read a watermark: the call says why', async () => {
    const watermark = create(OperationSchema, {
      operation: { case: 'watermark', value: { imageId: 'c'.repeat(64) } },
    });
    const { address } = await harness.startPeer(ofOtherStore(encoded));
    await expect(
      harness.createRunner([address]).run(context(), source, plan([watermark])),
    ).rejects.toMatchObject({ reason: 'STORE_NOT_SHARED', code: 'unavailable' });
  });

  it('an image that is gone is not found, whoever reads it', async () => {
    const { address } = await harness.startPeer(ofOtherStore(encoded));
    const stored = { info, sizeBytes: 3, blob: imageRef('a'.repeat(64)) };
    await expect(
      harness.createRunner([address]).run(context(), stored, plan([resize])),
    ).rejects.toMatchObject({
      reason: 'IMAGE_NOT_FOUND',
    });
  });
});
