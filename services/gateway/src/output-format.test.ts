import { create } from '@bufbuild/protobuf';
import { Format, type Operation, OperationSchema, OutputSchema } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import { describe, expect, it } from 'vitest';
import { resolveOutput } from './output-format.ts';

const { JPEG, PNG, WEBP, AVIF, GIF, TIFF, AUTO } = Format;

function auto(
  accept: Format[],
  source = { format: JPEG as Format, hasAlpha: false, frames: 1 },
  operations: Operation[] = [],
) {
  return resolveOutput(source, operations, create(OutputSchema, { format: AUTO, accept })).output.format;
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
    for (const format of [JPEG, PNG, WEBP, AVIF, GIF, TIFF]) {
      expect(resolveOutput({ format, hasAlpha: false, frames: 1 }, [], undefined).output.format).toBe(format);
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
    expect(auto([], { format: WEBP, hasAlpha: true, frames: 1 })).toBe(PNG);
    expect(auto([], { format: PNG, hasAlpha: false, frames: 1 })).toBe(PNG);
    expect(auto([JPEG], { format: PNG, hasAlpha: true, frames: 1 })).toBe(JPEG);
  });

  it('knows which operations add and remove transparency', () => {
    const edges = create(OperationSchema, { operation: { case: 'edges', value: {} } });
    const turn = (background: string) =>
      create(OperationSchema, { operation: { case: 'rotate', value: { angle: 10, background } } });
    expect(auto([], { format: WEBP, hasAlpha: true, frames: 1 }, [edges])).toBe(JPEG);
    expect(auto([], { format: JPEG, hasAlpha: false, frames: 1 }, [turn('#00000080')])).toBe(PNG);
    expect(auto([], { format: JPEG, hasAlpha: false, frames: 1 }, [turn('#000000Ff')])).toBe(JPEG);
  });

  it('refuses what cannot be written, by field', () => {
    expect(reasonOf(() => auto([GIF, TIFF]))).toBe('INVALID_REQUEST output.accept');
    const lossless = create(OutputSchema, { lossless: true });
    expect(
      reasonOf(() =>
        resolveOutput({ format: JPEG, hasAlpha: false, frames: 1 }, [], lossless, 'variants[1].output'),
      ),
    ).toBe('INVALID_REQUEST variants[1].output.lossless');
    expect(resolveOutput({ format: WEBP, hasAlpha: false, frames: 1 }, [], lossless).output.lossless).toBe(
      true,
    );
  });

  it('tries the format of the source too, where it is accepted and holds the picture', () => {
    const choose = (format: Format, accept: Format[], operations: Operation[] = []) =>
      resolveOutput(
        { format, hasAlpha: false, frames: 1 },
        operations,
        create(OutputSchema, { format: AUTO, accept }),
      );
    expect(choose(JPEG, [WEBP, JPEG])).toMatchObject({ output: { format: WEBP }, alternative: JPEG });
    expect(choose(JPEG, [WEBP, PNG]).alternative).toBeUndefined();
    expect(choose(JPEG, [JPEG, PNG]).alternative).toBeUndefined();
    const corners = create(OperationSchema, { operation: { case: 'roundCorners', value: {} } });
    expect(choose(JPEG, [WEBP, JPEG], [corners]).alternative).toBeUndefined();
  });

  it('keeps animations in formats that hold them', () => {
    const moving = { format: GIF as Format, hasAlpha: true, frames: 3 };
    const to = (init: { format: Format; accept?: Format[] }) =>
      resolveOutput(moving, [], create(OutputSchema, init));
    for (const accept of [[], [GIF, WEBP, AVIF]]) {
      expect(to({ format: AUTO, accept })).toMatchObject({ output: { format: WEBP }, alternative: GIF });
    }
    expect(to({ format: AUTO, accept: [WEBP] }).alternative).toBeUndefined();
    expect(to({ format: WEBP }).output.format).toBe(WEBP);
    expect(reasonOf(() => to({ format: PNG }))).toBe('ANIMATION_REFUSED output.format');
    expect(reasonOf(() => to({ format: AUTO, accept: [AVIF] }))).toBe('INVALID_REQUEST output.accept');
  });

  it("leaves the caller's message alone", () => {
    const output = create(OutputSchema, { format: AUTO, accept: [WEBP] });
    resolveOutput({ format: JPEG, hasAlpha: false, frames: 1 }, [], output);
    expect(output).toMatchObject({ format: AUTO, accept: [WEBP] });
  });
});
