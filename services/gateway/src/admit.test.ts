import { create } from '@bufbuild/protobuf';
import { ImageInfoSchema } from '@imagemesh/api';
import { describe, expect, it } from 'vitest';
import { createAdmission, estimateDecodedBytes } from './admit.ts';
import { createConnectionBudgets, createMemoryBudget } from './memory-budget.ts';

const info = (megapixels: number) =>
  create(ImageInfoSchema, { width: 1000, height: 1000 * megapixels, channels: 3, bitDepth: 8, frames: 1 });

describe('admission', () => {
  it('estimates what an image takes decoded from its header', () => {
    expect(estimateDecodedBytes(info(2))).toBe(6_000_000);
    const animation = { ...info(1), channels: 0, bitDepth: 16, frames: 10 };
    expect(estimateDecodedBytes(animation)).toBe(80_000_000);
  });

  it('takes calls up to their number and to what their images take decoded, and one of any size', async () => {
    const { run } = createAdmission({ maxCalls: 3, decodedBytesMax: 10_000_000 });
    let end = () => {};
    const running = new Promise<void>((resolve) => {
      end = resolve;
    });
    const first = run(info(100), () => running);
    await expect(run(info(1), async () => 'in')).rejects.toMatchObject({
      reason: 'OVERLOADED',
      metadata: { limit: 'DECODED_BYTES_MAX', image_bytes: '3000000' },
      retryAfterMs: 1000,
    });
    end();
    await first;
    const others = [run(info(1), () => running), run(info(1), () => running), run(info(1), async () => 'in')];
    await expect(Promise.all(others)).resolves.toEqual([undefined, undefined, 'in']);
    const full = createAdmission({ maxCalls: 1, decodedBytesMax: 1e9 });
    const held = full.run(info(1), () => new Promise(() => {}));
    held.catch(() => {});
    await expect(full.run(info(1), async () => 'in')).rejects.toMatchObject({
      metadata: { limit: 'MAX_CALLS' },
    });
  });
});

describe('the memory of a connection', () => {
  it('is a part of the whole, and both get back what was taken', () => {
    const whole = createMemoryBudget(100);
    const budgetOf = createConnectionBudgets(whole, 60);
    const [one, other] = [{}, {}];
    const giveBack = budgetOf(one).take(50);
    expect(() => budgetOf(one).take(20)).toThrow(
      expect.objectContaining({ metadata: { limit: 'CONNECTION_BYTES_MAX', limit_bytes: '60' } }),
    );
    expect(() => budgetOf(other).take(60)).toThrow(
      expect.objectContaining({ metadata: { limit: 'HELD_BYTES_MAX', limit_bytes: '100' } }),
    );
    giveBack();
    giveBack();
    expect(whole.usedBytes).toBe(0);
    budgetOf(other).take(60)();
    expect(whole.usedBytes).toBe(0);
  });
});
