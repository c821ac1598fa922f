import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { ColorPolicy, Format, type Operation, OperationSchema, OutputSchema } from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import { describe, expect, it } from 'vitest';
import { resolveOutput } from './output-format.ts';

const { JPEG, PNG, WEBP, AVIF, GIF, TIFF, AUTO } = Format;

const resultSize = { width: 100, height: 50 };

function auto(
  accept: Format[],
  source = { format: JPEG as Format, hasAlpha: false, frames: 1, resultSize },
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
      expect(
        resolveOutput({ format, hasAlpha: false, frames: 1, resultSize }, [], undefined).output.format,
      ).toBe(format);
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
    expect(auto([], { format: WEBP, hasAlpha: true, frames: 1, resultSize })).toBe(PNG);
    expect(auto([], { format: PNG, hasAlpha: false, frames: 1, resultSize })).toBe(PNG);
    expect(auto([JPEG], { format: PNG, hasAlpha: true, frames: 1, resultSize })).toBe(JPEG);
  });

  it('knows which operations add and remove transparency', () => {
    const edges = create(OperationSchema, { operation: { case: 'edges', value: {} } });
    const turn = (background: string) =>
      create(OperationSchema, { operation: { case: 'rotate', value: { angle: 10, background } } });
    expect(auto([], { format: WEBP, hasAlpha: true, frames: 1, resultSize }, [edges])).toBe(JPEG);
    expect(auto([], { format: JPEG, hasAlpha: false, frames: 1, resultSize }, [turn('#00000080')])).toBe(PNG);
    expect(auto([], { format: JPEG, hasAlpha: false, frames: 1, resultSize }, [turn('#000000Ff')])).toBe(
      JPEG,
    );
  });

  it('refuses what cannot be written, by field', () => {
    expect(reasonOf(() => auto([GIF, TIFF]))).toBe('INVALID_REQUEST output.accept');
    const lossless = create(OutputSchema, { lossless: true });
    expect(
      reasonOf(() =>
        resolveOutput(
          { format: JPEG, hasAlpha: false, frames: 1, resultSize },
          [],
          lossless,
          'variants[1].output',
        ),
      ),
    ).toBe('INVALID_REQUEST variants[1].output.lossless');
    expect(
      resolveOutput({ format: WEBP, hasAlpha: false, frames: 1, resultSize }, [], lossless).output.lossless,
    ).toBe(true);
  });

  it('tries the format of the source too, where it is accepted and holds the picture', () => {
    const choose = (format: Format, accept: Format[], operations: Operation[] = []) =>
      resolveOutput(
        { format, hasAlpha: false, frames: 1, resultSize },
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
    const moving = { format: GIF as Format, hasAlpha: true, frames: 3, resultSize };
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

  it('tries no second format in which the picture would be another', () => {
    const choose = (format: Format, init: { accept: Format[]; lossless?: boolean }, size = resultSize) =>
      resolveOutput(
        { format, hasAlpha: false, frames: 1, resultSize: size },
        [],
        create(OutputSchema, { format: AUTO, ...init }),
      );
    // Lossless goes for both, and of the second only those that always are.
    expect(choose(JPEG, { accept: [WEBP, JPEG], lossless: true }).alternative).toBeUndefined();
    expect(choose(PNG, { accept: [WEBP, PNG], lossless: true })).toMatchObject({
      output: { format: WEBP, lossless: true },
      alternative: PNG,
    });
    const wide = { width: 16_384, height: 10 };
    expect(choose(JPEG, { accept: [AVIF, WEBP, JPEG] }, wide)).toMatchObject({
      output: { format: AVIF },
      alternative: JPEG,
    });
    expect(choose(WEBP, { accept: [AVIF, WEBP] }, wide).alternative).toBeUndefined();
    expect(choose(TIFF, { accept: [WEBP, TIFF] }).alternative).toBe(TIFF);
  });

  it('picks a format that holds the size', () => {
    const choose = (accept: Format[], width: number) =>
      resolveOutput(
        { format: JPEG, hasAlpha: false, frames: 1, resultSize: { width, height: 10 } },
        [],
        create(OutputSchema, { format: AUTO, accept }),
      ).output.format;
    expect(choose([AVIF, WEBP, JPEG], 16_385)).toBe(JPEG);
    expect(choose([WEBP, AVIF], 16_384)).toBe(AVIF);
    expect(reasonOf(() => choose([AVIF, WEBP], 16_385))).toBe('OUTPUT_TOO_LARGE output.format');
  });

  it('settles what becomes of the colours for every stage', () => {
    const colorOf = (init: MessageInitShape<typeof OutputSchema>, frames = 1) =>
      resolveOutput(
        { format: frames > 1 ? WEBP : JPEG, hasAlpha: false, frames, resultSize },
        [],
        create(OutputSchema, init),
      ).output.color;
    expect(colorOf({})).toBe(ColorPolicy.SRGB);
    expect(colorOf({ color: ColorPolicy.KEEP })).toBe(ColorPolicy.KEEP);
    expect(colorOf({ color: ColorPolicy.KEEP, format: GIF })).toBe(ColorPolicy.SRGB);
    expect(colorOf({ color: ColorPolicy.KEEP }, 3)).toBe(ColorPolicy.SRGB);
  });

  it('refuses a size to search for where there is no quality', () => {
    for (const init of [{ format: PNG }, { format: WEBP, lossless: true }, { format: GIF }]) {
      const output = create(OutputSchema, { ...init, targetBytes: 1000n });
      expect(
        reasonOf(() => resolveOutput({ format: JPEG, hasAlpha: false, frames: 1, resultSize }, [], output)),
      ).toBe('INVALID_REQUEST output.target_bytes');
    }
  });

  it("leaves the caller's message alone", () => {
    const output = create(OutputSchema, { format: AUTO, accept: [WEBP] });
    resolveOutput({ format: JPEG, hasAlpha: false, frames: 1, resultSize }, [], output);
    expect(output).toMatchObject({ format: AUTO, accept: [WEBP] });
  });
});
