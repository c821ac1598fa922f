import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { childOf, formatTraceparent, newTrace, parseTraceparent } from './trace.ts';

const header = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

describe('a trace context', () => {
  it('is read and written as W3C has it', () => {
    const context = parseTraceparent(header);
    expect(context).toEqual({
      traceId: '0af7651916cd43dd8448eb211c80319c',
      spanId: 'b7ad6b7169203331',
      sampled: true,
    });
    expect(context && formatTraceparent(context)).toBe(header);
  });

  it('of a later version is read as far as it is known', () => {
    expect(parseTraceparent(`cc${header.slice(2)}-more`)).toMatchObject({ sampled: true });
  });

  it.each([
    undefined,
    '',
    'x',
    header.toUpperCase(),
    `${header}-more`,
    `ff${header.slice(2)}`,
    header.replace('0af7651916cd43dd8448eb211c80319c', '0'.repeat(32)),
    header.replace('b7ad6b7169203331', '0'.repeat(16)),
  ])('is not there in %j', (bad) => {
    expect(parseTraceparent(bad)).toBeUndefined();
  });

  it('keeps its trace in a child, under a new span', () => {
    const parent = newTrace();
    const child = childOf(parent);
    expect(child.traceId).toBe(parent.traceId);
    expect(child.spanId).not.toBe(parent.spanId);
  });

  it('is valid whatever the random bytes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 255 }), (byte) => {
        const context = newTrace((count) => Buffer.alloc(count, byte));
        expect(parseTraceparent(formatTraceparent(context))).toEqual(context);
      }),
    );
  });
});
