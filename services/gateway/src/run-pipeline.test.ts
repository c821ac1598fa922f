import { EventEmitter, once } from 'node:events';
import { create } from '@bufbuild/protobuf';
import {
  ColorPolicy,
  Destination,
  EncodingReportSchema,
  Format,
  OperationSchema,
  OutputSchema,
} from '@imagemesh/api';
import { defaultLimits } from '@imagemesh/image';
import { MeshError } from '@imagemesh/rpc';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { imageRef, temporaryRef } from './blob-refs.ts';
import { createMemoryBudget } from './memory-budget.ts';
import { planPipeline } from './plan.ts';
import { blur, byService, context, encoded, info, pixels, plan, resize, source } from './testing/peer.ts';
import { createPipelineHarness, type PipelineHarness } from './testing/pipeline-harness.ts';

let harness: PipelineHarness;

beforeAll(async () => {
  harness = await createPipelineHarness();
});
afterEach(() => harness.clear());
afterAll(() => harness.close());

describe('one stage', () => {
  it('sends spec, bytes and what the balancer routes by; holds the reply', async () => {
    const budget = createMemoryBudget(1e9);
    const { address, seen } = await harness.startPeer(encoded);
    const call = context({ class: 'job' });
    const result = await harness.createRunner([address], budget).run(call, source, plan([resize]));
    expect(result).toMatchObject({ sizeBytes: 2, held: { kind: 'memory' }, info: { width: 10 } });
    expect(result.report.stages).toMatchObject([{ replicaId: 'r1', operations: ['resize'], execMs: 2 }]);
    const [stage] = seen;
    expect(stage?.bytes).toEqual(Buffer.of(1, 2, 3));
    expect(stage?.spec).toMatchObject({
      sizeBytes: 3n,
      content: { case: 'encoded', value: { format: Format.PNG } },
      result: { case: 'output', value: { format: Format.PNG } },
      destination: Destination.INLINE,
    });
    expect(stage?.headers).toMatchObject({ 'im-op': 'resize', 'im-class': 'job', 'x-request-id': 'req-1' });
    expect(Number(stage?.headers['im-cost'])).toBeGreaterThan(0);
    expect(stage?.headers['im-store']).toBeUndefined();
    expect(stage?.headers.traceparent).toContain(call.trace.traceId);
    expect(stage?.headers['grpc-timeout']).toBeDefined();
    expect(budget.usedBytes).toBe(2);
    await result.release();
    expect(budget.usedBytes).toBe(0);
  });

  it('sends a stored image by reference, with the store that it needs', async () => {
    const { address, seen } = await harness.startPeer(encoded);
    const id = 'a'.repeat(64);
    await harness
      .createRunner([address])
      .run(context(), { info, sizeBytes: 3, blob: imageRef(id) }, plan([resize]));
    expect(seen[0]?.bytes).toHaveLength(0);
    expect(seen[0]?.spec.blob?.key).toEqual({ case: 'imageId', value: id });
    expect(seen[0]?.headers['im-store']).toBe(harness.store.id);
  });

  it('turns a blob that is gone into an image that is not found', async () => {
    const { address } = await harness.startPeer(async () => {
      throw new MeshError('BLOB_NOT_FOUND', 'gone');
    });
    const stored = { info, sizeBytes: 3, blob: imageRef('a'.repeat(64)) };
    await expect(harness.createRunner([address]).run(context(), stored, plan([]))).rejects.toMatchObject({
      reason: 'IMAGE_NOT_FOUND',
    });
  });

  it('sends a stage with a watermark to a replica that shares the store, and names the overlay that is gone', async () => {
    const overlay = 'c'.repeat(64);
    const watermark = create(OperationSchema, {
      operation: { case: 'watermark', value: { imageId: overlay } },
    });
    const { address, seen } = await harness.startPeer(async () => {
      throw new MeshError('BLOB_NOT_FOUND', 'gone', { resource: { type: 'image', name: overlay } });
    });
    const running = harness.createRunner([address]).run(context(), source, plan([watermark]));
    await expect(running).rejects.toMatchObject({
      reason: 'IMAGE_NOT_FOUND',
      resource: { type: 'image', name: overlay },
    });
    expect(seen[0]?.headers['im-store']).toBe(harness.store.id);
    expect(seen[0]?.headers['im-op']).toBe('watermark');
  });

  it('lets the replica save the result of a job as an image', async () => {
    const id = 'b'.repeat(64);
    const { address, seen } = await harness.startPeer(async (call, wire) => ({
      header: { ...(await encoded(call, wire)).header, blob: imageRef(id), sizeBytes: 77n },
    }));
    const result = await harness
      .createRunner([address])
      .run(context(), source, plan([resize]), { isStored: true });
    expect(result).toMatchObject({ held: { kind: 'image', id }, sizeBytes: 77 });
    expect(seen[0]?.spec.destination).toBe(Destination.IMAGE);
  });

  it('refuses a reply that does not fit in the memory left', async () => {
    const { address } = await harness.startPeer(encoded);
    await expect(
      harness.createRunner([address], createMemoryBudget(1)).run(context(), source, plan([])),
    ).rejects.toMatchObject({
      reason: 'OVERLOADED',
    });
  });

  it('passes on what the replica says, details and all, after one try', async () => {
    const { address, seen } = await harness.startPeer(async () => {
      throw new MeshError('OPERATION_OUT_OF_BOUNDS', 'outside', {
        violations: [{ field: 'operations[0].crop', description: 'outside' }],
      });
    });
    const running = harness.createRunner([address]).run(context(), source, plan([]));
    await expect(running).rejects.toMatchObject({
      reason: 'OPERATION_OUT_OF_BOUNDS',
      violations: [{ field: 'operations[0].crop' }],
    });
    expect(seen).toHaveLength(1);
  });
});

describe('what the output says', () => {
  const keep = create(OutputSchema, {
    format: Format.AUTO,
    accept: [Format.WEBP, Format.PNG],
    color: ColorPolicy.KEEP,
  });

  it('of colours goes to every stage, of a second format to the last; how it was encoded comes back', async () => {
    const { address, seen } = await harness.startPeer(async (call, wire) => {
      const answer = await byService(call, wire);
      const isLast = call.spec.result.case === 'output';
      return isLast
        ? {
            ...answer,
            header: {
              ...answer.header,
              encoding: create(EncodingReportSchema, { quality: 61, attempts: 9 }),
            },
          }
        : answer;
    });
    const two = planPipeline({ info, operations: [resize, blur], output: keep, limits: defaultLimits });
    const result = await harness.createRunner([address]).run(context(), source, two);
    expect(seen.map(({ spec }) => spec.color)).toEqual([ColorPolicy.KEEP, ColorPolicy.KEEP]);
    expect(seen.map(({ spec }) => spec.alternativeFormat)).toEqual([Format.UNSPECIFIED, Format.PNG]);
    expect(seen[1]?.spec.result).toMatchObject({
      case: 'output',
      value: { format: Format.WEBP, accept: [] },
    });
    expect(result.report.encoding).toMatchObject({ quality: 61, attempts: 9 });
    await result.release();
  });
});

describe('several stages', () => {
  it('hands pixels on, in memory, and gives their memory back', async () => {
    const budget = createMemoryBudget(1e9);
    const { address, seen } = await harness.startPeer(byService);
    const result = await harness.createRunner([address], budget).run(context(), source, plan([resize, blur]));
    expect(seen.map(({ path }) => path.split('/')[2])).toEqual(['Resize', 'Filter']);
    expect(seen[0]?.spec.result.case).toBe('pixelResult');
    expect(seen[1]?.spec).toMatchObject({
      content: { case: 'pixels', value: { width: 10, height: 5 } },
      sizeBytes: 150n,
    });
    expect(seen[1]?.bytes).toEqual(Buffer.alloc(150, 5));
    expect(result.report.stages.map(({ operations }) => operations)).toEqual([['resize'], ['blur']]);
    expect(budget.usedBytes).toBe(2);
    await result.release();
  });

  it('hands large pixels on as a temporary blob and deletes it, whether the next stage works or not', async () => {
    let isFailing = false;
    const ids: string[] = [];
    const { address, seen } = await harness.startPeer(async (call, wire) => {
      if (call.path.includes('Filter')) {
        if (isFailing) throw new MeshError('INTERNAL', 'no');
        return encoded(call, wire);
      }
      const { id } = await harness.store.putTemporary(new Uint8Array(150), { maxBytes: 1000 });
      ids.push(id);
      return { header: { ...(await pixels(call, wire)).header, blob: temporaryRef(id), sizeBytes: 150n } };
    });
    const runner = harness.createRunner([address]);
    const large = create(OperationSchema, {
      operation: { case: 'resize', value: { width: 3000, height: 2000 } },
    });
    await runner.run(context(), source, plan([large, blur]));
    expect(seen[0]?.spec.destination).toBe(Destination.TEMPORARY);
    expect(seen[1]?.spec.blob?.key).toEqual({ case: 'temporaryId', value: ids[0] });
    isFailing = true;
    await expect(runner.run(context(), source, plan([large, blur]))).rejects.toMatchObject({
      reason: 'INTERNAL',
    });
    for (const id of ids)
      await expect(harness.store.readTemporary(id)).rejects.toMatchObject({ reason: 'BLOB_NOT_FOUND' });
  });
});

describe('cancelling', () => {
  it('reaches the other end', async () => {
    const leaving = new AbortController();
    const peer = new EventEmitter();
    const atWork = once(peer, 'work');
    const stopped = once(peer, 'stop');
    const { address } = await harness.startPeer(async (_call, wire) => {
      peer.emit('work');
      await once(wire.signal, 'abort');
      peer.emit('stop');
      throw new MeshError('CANCELLED', 'gone');
    });
    const running = harness
      .createRunner([address])
      .run(context({ signal: leaving.signal }), source, plan([]));
    running.catch(() => {});
    await atWork;
    leaving.abort(new MeshError('CANCELLED', 'the caller left'));
    await stopped;
    await expect(running).rejects.toMatchObject({ reason: 'CANCELLED' });
  });
});
