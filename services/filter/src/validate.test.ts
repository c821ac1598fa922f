import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { ColorPolicy, Gravity, MetadataPolicy, OperationSchema, PixelContentSchema } from '@imagemesh/api';
import { defaultLimits, pipelineSizes, type Source } from '@imagemesh/image';
import type { WorkResult } from '@imagemesh/worker';
import { describe, expect, it } from 'vitest';
import { validate } from './validate.ts';

type OperationInit = NonNullable<MessageInitShape<typeof OperationSchema>['operation']>;

const limits = { ...defaultLimits, maxFilterPixels: 1_000_000 };
const pixels: WorkResult = { kind: 'pixels', metadata: MetadataPolicy.STRIP };

function check(width: number, height: number, steps: OperationInit[], result = pixels): void {
  const operations = steps.map((operation) => create(OperationSchema, { operation }));
  const content = create(PixelContentSchema, { width, height, channels: 3, bitDepth: 8 });
  const source: Source = { kind: 'pixels', bytes: new Uint8Array(0), content };
  const sizes = pipelineSizes({ width, height }, operations, defaultLimits);
  validate({ source, operations, sizes, color: ColorPolicy.SRGB, result }, limits);
}

describe('validate', () => {
  it('lets the operations of the service through', () => {
    check(1000, 1000, [
      { case: 'blur', value: {} },
      { case: 'rotate', value: { angle: -270 } },
      { case: 'crop', value: { left: 1, width: 9, height: 9 } },
      { case: 'flip', value: {} },
      { case: 'grayscale', value: {} },
      { case: 'medianBlur', value: {} },
      { case: 'gaussianBlur', value: {} },
      { case: 'edges', value: {} },
    ]);
    check(1000, 1000, []);
  });

  it('names an operation that is not its own', () => {
    const steps: OperationInit[] = [
      { case: 'blur', value: {} },
      { case: 'resize', value: { width: 10 } },
    ];
    expect(() => check(10, 10, steps)).toThrow(
      expect.objectContaining({
        reason: 'INVALID_REQUEST',
        violations: [{ field: 'operations[1].resize', description: expect.any(String) }],
      }),
    );
  });

  it('names an angle that is no quarter turn', () => {
    expect(() => check(10, 10, [{ case: 'rotate', value: { angle: 45 } }])).toThrow(
      expect.objectContaining({
        reason: 'INVALID_REQUEST',
        violations: [{ field: 'operations[0].rotate.angle', description: expect.any(String) }],
      }),
    );
  });

  it('refuses more pixels than the heap can hold, and says how many', () => {
    expect(() => check(1001, 1000, [{ case: 'blur', value: {} }])).toThrow(
      expect.objectContaining({
        reason: 'TOO_MANY_PIXELS',
        metadata: { width: '1001', height: '1000', maxFilterPixels: '1000000' },
      }),
    );
  });

  it('takes a larger image if it is cropped first', () => {
    const crop: OperationInit = { case: 'crop', value: { width: 1000, height: 1000 } };
    check(5000, 5000, [crop, { case: 'blur', value: {} }]);
    expect(() => check(5000, 5000, [{ case: 'blur', value: {} }, crop])).toThrow(/resize or crop it first/);
  });

  it('leaves measurements and the search for a place to the resize service', () => {
    expect(() => check(10, 10, [], { kind: 'analysis' })).toThrow(/analysis/);
    const crop: OperationInit = { case: 'crop', value: { width: 5, gravity: Gravity.ATTENTION } };
    expect(() => check(10, 10, [crop])).toThrow(/crop\.gravity/);
  });
});
