/** Small images for the tests of this service, and a slow, obvious model of the exact operations. */
import { create } from '@bufbuild/protobuf';
import {
  ColorPolicy,
  type Fit,
  FlipDirection,
  Format,
  MetadataPolicy,
  type Operation,
  OperationSchema,
  type Output,
  OutputSchema,
} from '@imagemesh/api';
import {
  defaultLimits,
  pipelineSizes,
  probeWhole,
  type Size,
  type Source,
  sourceSize,
} from '@imagemesh/image';
import { createLogger } from '@imagemesh/observe';
import type { Formatted, Work, WorkCall } from '@imagemesh/worker';
import sharp from 'sharp';
import { format } from './format.ts';
import { process } from './process.ts';
import { validate } from './validate.ts';

/** RGB pixels. */
export interface Picture extends Size {
  readonly at: (x: number, y: number) => readonly number[];
}

export type OperationInit = Parameters<typeof create<typeof OperationSchema>>[1];

export function operation(init: NonNullable<OperationInit>): Operation {
  return create(OperationSchema, init);
}

export function crop(left: number, top: number, width: number, height: number): Operation {
  return operation({ operation: { case: 'crop', value: { left, top, width, height } } });
}

export function resize(value: { width?: number; height?: number; fit?: Fit }): Operation {
  return operation({ operation: { case: 'resize', value } });
}

export function rotate(angle: number, background?: string): Operation {
  return operation({
    operation: { case: 'rotate', value: { angle, ...(background !== undefined && { background }) } },
  });
}

export function flip(direction: FlipDirection): Operation {
  return operation({ operation: { case: 'flip', value: { direction } } });
}

export function output(init: { format: Format } & Partial<Omit<Output, '$typeName' | '$unknown'>>): Output {
  return create(OutputSchema, init);
}

export const png = output({ format: Format.PNG });

/** A picture in which no two pixels nearby are alike, so that a pixel out of place shows. */
export function chequered(size: Size): Picture {
  return { ...size, at: (x, y) => [(x * 37 + y * 11) & 255, (x * 5 + y * 59) & 255, (x * y + 7) & 255] };
}

/** Quadrants red, green, blue, white (from the top left, by rows). */
export function quadrants(size: Size): Picture {
  const colours = [
    [255, 0, 0],
    [0, 255, 0],
    [0, 0, 255],
    [255, 255, 255],
  ];
  const at = (x: number, y: number) => {
    const index = (y < size.height / 2 ? 0 : 2) + (x < size.width / 2 ? 0 : 1);
    return colours[index] ?? [];
  };
  return { ...size, at };
}

export function bytesOf(picture: Picture): Buffer {
  const { width, height } = picture;
  const rows = Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => picture.at(x, y)),
  );
  return Buffer.from(rows.flat(2));
}

export function encodePng(picture: Picture): Promise<Buffer> {
  const { width, height } = picture;
  return sharp(bytesOf(picture), { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** The model: exact operations, one at a time, in the order given. */
export function applyExactly(picture: Picture, { operation: step }: Operation): Picture {
  const { width, height, at } = picture;
  switch (step.case) {
    case 'crop': {
      const { left = 0, top = 0, width: w = 0, height: h = 0 } = step.value;
      return { width: w, height: h, at: (x, y) => at(x + left, y + top) };
    }
    case 'flip': {
      const { direction } = step.value;
      const isAcross = direction !== FlipDirection.VERTICAL;
      const isDown = direction === FlipDirection.VERTICAL || direction === FlipDirection.BOTH;
      return { width, height, at: (x, y) => at(isAcross ? width - 1 - x : x, isDown ? height - 1 - y : y) };
    }
    case 'rotate': {
      const quarters = ((((step.value.angle ?? 0) / 90) % 4) + 4) % 4;
      let turned = picture;
      for (let count = 0; count < quarters; count++) turned = quarterTurn(turned);
      return turned;
    }
    default:
      throw new Error(`no exact model of ${step.case}`);
  }
}

function quarterTurn({ width, height, at }: Picture): Picture {
  return { width: height, height: width, at: (x, y) => at(y, height - 1 - x) };
}

export function sourceOf(bytes: Uint8Array): Source {
  return { kind: 'encoded', bytes, header: probeWhole(bytes) };
}

export function workOf(source: Source, operations: readonly Operation[], to: Output | 'pixels' = png): Work {
  const sizes = pipelineSizes(sourceSize(source), operations, defaultLimits);
  const result =
    to === 'pixels'
      ? ({ kind: 'pixels', metadata: MetadataPolicy.KEEP } as const)
      : ({ kind: 'encoded', output: to } as const);
  return { source, operations, sizes, color: ColorPolicy.SRGB, result };
}

const call: WorkCall = {
  requestId: 'test',
  signal: new AbortController().signal,
  remainingMs: () => 30_000,
  limits: defaultLimits,
  log: createLogger({ name: 'test', level: 'silent' }),
  loadImage: () => Promise.reject(new Error('no store here')),
};

/** The agents of this service, one after the other. */
export async function run(work: Work): Promise<Formatted> {
  validate(work);
  return format(await process(work, call), work, call);
}

/** The result's pixels as sharp decodes them. */
export async function pixelsOf(
  formatted: Formatted,
): Promise<{ data: Buffer; width: number; height: number; channels: number }> {
  const { data, info } = await sharp(formatted.bytes).raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, channels: info.channels };
}
