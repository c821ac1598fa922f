import { create } from '@bufbuild/protobuf';
import { Format, type Operation, OperationSchema, OutputSchema } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import { describe, expect, it } from 'vitest';
import { resolveOutput } from './output-format.ts';

const { JPEG, PNG, WEBP, AVIF, GIF, TIFF, AUTO } = Format;

function auto(
  accept: Format[],
  source = { format: JPEG as Format, hasAlpha: false },
  operations: Operation[] = [],
) {
  return resolveOutput(source, operations, create(OutputSchema, { format: AUTO, accept })).format;
}

function reasonOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof MeshError) return `${error.reason} ${error.violations[0]?.field}`;
  }
  return 'nothing';
}

describe('resolveOutput', () => {
  it("keeps the source's format when none is asked for", () => {
    for (const format of [JPEG, PNG, WEBP, AVIF]) {
      expect(resolveOutput({ format, hasAlpha: false }, [], undefined).format).toBe(format);
    }
  });

  it('takes the best of what is accepted', () => {
    expect(auto([JPEG, PNG, WEBP, AVIF])).toBe(AVIF);
    expect(auto([JPEG, PNG, WEBP])).toBe(WEBP);
    expect(auto([PNG, JPEG])).toBe(JPEG);
    expect(auto([PNG])).toBe(PNG);
    expect(auto([])).toBe(JPEG);
  });

  it('prefers PNG for transparency and for a lossless source', () => {
    expect(auto([], { format: WEBP, hasAlpha: true })).toBe(PNG);
    expect(auto([], { format: PNG, hasAlpha: false })).toBe(PNG);
    expect(auto([JPEG], { format: PNG, hasAlpha: true })).toBe(JPEG);
  });

  it('knows which operations add and remove transparency', () => {
    const edges = create(OperationSchema, { operation: { case: 'edges', value: {} } });
    const turn = (background: string) =>
      create(OperationSchema, { operation: { case: 'rotate', value: { angle: 10, background } } });
    expect(auto([], { format: WEBP, hasAlpha: true }, [edges])).toBe(JPEG);
    expect(auto([], { format: JPEG, hasAlpha: false }, [turn('#00000080')])).toBe(PNG);
    expect(auto([], { format: JPEG, hasAlpha: false }, [turn('#000000Ff')])).toBe(JPEG);
  });

  it('refuses what cannot be written, by field', () => {
    expect(
      reasonOf(() =>
        resolveOutput({ format: JPEG, hasAlpha: false }, [], create(OutputSchema, { format: GIF })),
      ),
    ).toBe('UNSUPPORTED_FORMAT output.format');
    expect(reasonOf(() => auto([GIF, TIFF]))).toBe('INVALID_REQUEST output.accept');
    const lossless = create(OutputSchema, { lossless: true });
    expect(
      reasonOf(() => resolveOutput({ format: JPEG, hasAlpha: false }, [], lossless, 'variants[1].output')),
    ).toBe('INVALID_REQUEST variants[1].output.lossless');
    expect(resolveOutput({ format: WEBP, hasAlpha: false }, [], lossless).lossless).toBe(true);
  });

  it("leaves the caller's message alone", () => {
    const output = create(OutputSchema, { format: AUTO, accept: [WEBP] });
    resolveOutput({ format: JPEG, hasAlpha: false }, [], output);
    expect(output).toMatchObject({ format: AUTO, accept: [WEBP] });
  });
});
