import { create } from '@bufbuild/protobuf';
import {
  type Fit,
  FlipDirection,
  Format,
  type ImageInfo,
  ImageInfoSchema,
  type Operation,
  OperationSchema,
  OutputSchema,
  WorkerKind,
} from '@imagemesh/api';
import { defaultLimits } from '@imagemesh/image';
import { MeshError } from '@imagemesh/rpc';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { neededWorker, planPipeline } from './plan.ts';

type Step = Operation['operation'];
const { RESIZE, FILTER } = WorkerKind;

function info(fields: Partial<Omit<ImageInfo, '$typeName'>> = {}): ImageInfo {
  const upright = { width: 1000, height: 500, orientation: 1 };
  return create(ImageInfoSchema, { format: Format.JPEG, channels: 3, frames: 1, ...upright, ...fields });
}

function op(operation: { case: NonNullable<Step['case']>; value: object }): Operation {
  // The cases below are spelled out by hand; their values are checked by what the planner makes of them.
  return create(OperationSchema, { operation: operation as never });
}

const resize = (width?: number, height?: number, fit?: Fit) =>
  op({ case: 'resize', value: { width, height, fit } });
const crop = (left: number, top: number, width: number, height: number) =>
  op({ case: 'crop', value: { left, top, width, height } });
const rotate = (angle: number, background?: string) => op({ case: 'rotate', value: { angle, background } });
const flip = () => op({ case: 'flip', value: { direction: FlipDirection.VERTICAL } });
const blur = (size?: number) => op({ case: 'blur', value: { size } });
const edges = () => op({ case: 'edges', value: {} });
const grayscale = () => op({ case: 'grayscale', value: {} });

function plan(operations: Operation[], image = info(), output = create(OutputSchema)) {
  return planPipeline({ info: image, operations, output, limits: defaultLimits });
}

function shape(operations: Operation[]) {
  return plan(operations).stages.map(({ worker, names }) => `${WorkerKind_[worker]}:${names.join(',')}`);
}
const WorkerKind_ = { [RESIZE]: 'resize', [FILTER]: 'filter' };

function failure(work: () => unknown): MeshError {
  try {
    work();
  } catch (error) {
    if (error instanceof MeshError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('the cut into stages', () => {
  it('sends a pipeline without operations to resize, which encodes', () => {
    const { stages, output } = plan([]);
    expect(stages).toHaveLength(1);
    expect(stages[0]).toMatchObject({
      worker: RESIZE,
      names: [],
      isFinal: true,
      resultSize: { width: 1000, height: 500 },
    });
    expect(output.format).toBe(Format.JPEG);
  });

  it('sends operations that either service does to resize when there is nothing else', () => {
    expect(shape([crop(0, 0, 10, 10), flip(), rotate(270)])).toEqual(['resize:crop,flip,rotate']);
  });

  it('keeps either-operations where the pixels are', () => {
    expect(shape([resize(100), blur(), crop(0, 0, 10, 10)])).toEqual(['resize:resize', 'filter:blur,crop']);
    expect(shape([resize(100), flip(), blur()])).toEqual(['resize:resize,flip', 'filter:blur']);
    expect(shape([blur(), rotate(90), resize(10)])).toEqual(['filter:blur,rotate', 'resize:resize']);
  });

  it('runs leading either-operations in the first service needed', () => {
    expect(shape([crop(0, 0, 10, 10), blur()])).toEqual(['filter:crop,blur']);
    expect(shape([flip(), resize(5), blur()])).toEqual(['resize:flip,resize', 'filter:blur']);
  });

  it('sends turns by other angles to resize', () => {
    expect(shape([blur(), rotate(45)])).toEqual(['filter:blur', 'resize:rotate']);
    expect(shape([blur(), rotate(-180)])).toEqual(['filter:blur,rotate']);
    expect(shape([blur(), rotate(0)])).toEqual(['filter:blur,rotate']);
  });

  it('changes service as often as needed and keeps the order', () => {
    expect(shape([resize(100), blur(), resize(50), edges()])).toEqual([
      'resize:resize',
      'filter:blur',
      'resize:resize',
      'filter:edges',
    ]);
  });

  it('makes only the last stage final', () => {
    expect(plan([resize(100), blur(), resize(50)]).stages.map(({ isFinal }) => isFinal)).toEqual([
      false,
      false,
      true,
    ]);
  });

  it('is minimal, complete, in order and valid for any pipeline', () => {
    const step = fc.constantFrom(
      () => resize(20, 20),
      () => crop(0, 0, 5, 5),
      () => rotate(90),
      () => rotate(30),
      () => flip(),
      () => blur(3),
      () => edges(),
      () => grayscale(),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (makers) => {
        const operations = makers.map((make) => make());
        const { stages } = plan(operations);
        expect(stages.flatMap((stage) => stage.operations)).toEqual(operations);
        for (const { worker, operations: own } of stages) {
          for (const operation of own) expect(neededWorker(operation) ?? worker).toBe(worker);
        }
        const needed = operations.map(neededWorker).filter((worker) => worker !== undefined);
        const changes = needed.filter((worker, index) => index > 0 && worker !== needed[index - 1]).length;
        expect(stages).toHaveLength(changes + 1);
      }),
    );
  });
});

describe('sizes and limits', () => {
  it('starts from the upright image', () => {
    const [stage] = plan([crop(0, 500, 500, 500)], info({ orientation: 6 })).stages;
    expect(stage?.resultSize).toEqual({ width: 500, height: 500 });
    expect(failure(() => plan([crop(0, 500, 500, 500)])).reason).toBe('OPERATION_OUT_OF_BOUNDS');
  });

  it('gives each stage the size it hands on', () => {
    const { stages } = plan([resize(100), blur(), rotate(90)]);
    expect(stages.map(({ resultSize }) => resultSize)).toEqual([
      { width: 100, height: 50 },
      { width: 50, height: 100 },
    ]);
  });

  it('names the operation that leaves the image', () => {
    const error = failure(() => plan([resize(100), crop(90, 0, 20, 20)]));
    expect(error.reason).toBe('OPERATION_OUT_OF_BOUNDS');
    expect(error.message).toContain('operations[1]');
    expect(
      failure(() =>
        planPipeline({
          info: info(),
          operations: [crop(0, 0, 1001, 1)],
          output: undefined,
          limits: defaultLimits,
          path: 'variants[2].',
        }),
      ).message,
    ).toContain('variants[2].operations[0]');
  });

  it('refuses a result with too many pixels, by operation and by pipeline', () => {
    expect(failure(() => plan([resize(10_000, 10_000)])).reason).toBe('OUTPUT_TOO_LARGE');
    const large = Array.from({ length: 5 }, () => resize(7000, 7000));
    expect(failure(() => plan(large)).reason).toBe('OUTPUT_TOO_LARGE');
    expect(plan(large.slice(0, 4)).stages).toHaveLength(1);
  });

  it('refuses more operations than allowed', () => {
    const many = Array.from({ length: 33 }, flip);
    expect(failure(() => plan(many)).code).toBe('invalid_argument');
    expect(plan(many.slice(1)).stages).toHaveLength(1);
  });

  it('refuses an operation that is not set', () => {
    expect(failure(() => plan([create(OperationSchema)])).reason).toBe('INVALID_REQUEST');
  });

  it('holds the limits for all frames of an animation together', () => {
    const moving = info({ format: Format.WEBP, width: 100, height: 100, frames: 500 });
    const limits = { ...defaultLimits, maxPipelinePixels: 60_000_000 };
    const planMoving = (...operations: Operation[]) =>
      planPipeline({ info: moving, operations, output: undefined, limits });
    expect(planMoving(resize(300)).stages[0]).toMatchObject({ frames: 500, resultSize: { width: 300 } });
    expect(failure(() => planMoving(resize(317)))).toMatchObject({
      reason: 'OUTPUT_TOO_LARGE',
      violations: [{ field: 'operations[0].resize' }],
      metadata: { frames: '500', maxAnimationPixels: '50000000' },
    });
    expect(failure(() => planMoving(resize(300), flip())).message).toContain('in a pipeline');
    const kernel = op({ case: 'gaussianBlur', value: { size: 255 } });
    expect(planMoving(kernel).stages).toHaveLength(1);
    expect(failure(() => planMoving(kernel, kernel))).toMatchObject({
      reason: 'TOO_MANY_PIXELS',
      violations: [{ field: 'operations[1].gaussian_blur' }],
    });
    const first = op({ case: 'selectFrame', value: { index: 499 } });
    expect(planMoving(first, resize(5000)).stages[0]?.frames).toBe(1);
    expect(failure(() => planMoving(op({ case: 'selectFrame', value: { index: 500 } }))).reason).toBe(
      'OPERATION_OUT_OF_BOUNDS',
    );
  });

  it('refuses what is too large for a filter before anything is sent', () => {
    const large = info({ width: 7000, height: 7000 });
    expect(failure(() => plan([flip(), resize(6999), blur()], large))).toMatchObject({
      reason: 'TOO_MANY_PIXELS',
      violations: [{ field: 'operations[2]' }],
      metadata: { maxFilterPixels: '40000000' },
    });
    // What is cut off on the way in does not count.
    expect(plan([crop(0, 0, 6000, 6000), blur()], large).stages).toHaveLength(1);
    expect(failure(() => plan([blur()], large)).violations[0]?.field).toBe('operations[0]');
  });

  it('refuses a size that the format cannot hold', () => {
    const output = create(OutputSchema, { format: Format.WEBP });
    expect(failure(() => plan([resize(17_000, 10)], info(), output)).reason).toBe('OUTPUT_TOO_LARGE');
  });
});

describe('the estimate', () => {
  it('grows with the image and with what is done', () => {
    const cost = (operations: Operation[], image = info()) =>
      plan(operations, image).stages.reduce((total, { costMs }) => total + costMs, 0);
    const big = info({ width: 4000, height: 3000 });
    expect(cost([resize(100)], big)).toBeGreaterThan(cost([resize(100)]));
    expect(cost([edges()], big)).toBeGreaterThan(cost([grayscale()], big));
    expect(cost([resize(100), edges()], big)).toBeLessThan(cost([edges(), resize(100)], big));
  });

  it('is a positive number for every stage', () => {
    for (const { costMs } of plan([resize(1, 1), blur(), resize(1, 1)], info({ width: 1, height: 1 }))
      .stages) {
      expect(costMs).toBeGreaterThan(0);
    }
  });

  it('is that of every frame', () => {
    const still = info({ format: Format.WEBP, width: 200, height: 200 });
    const cost = (frames: number) => plan([blur()], { ...still, frames }).stages[0]?.costMs ?? 0;
    expect(cost(40)).toBeGreaterThan(30 * cost(1));
  });

  it('counts the encoder in the last stage only', () => {
    const avif = create(OutputSchema, { format: Format.AVIF });
    const [first, last] = plan([resize(1000, 1000), blur()], info(), avif).stages;
    expect(last?.costMs).toBeGreaterThan(300);
    expect(first?.costMs).toBeLessThan(50);
  });
});
