/** A pipeline as the page holds it: named steps with the values that are set. Pure. */
import { fromJson, type JsonObject } from '@bufbuild/protobuf';
import {
  type Operation,
  type OperationDescription,
  OperationSchema,
  type Output,
  OutputSchema,
} from '@imagemesh/api';

/** A parameter's value as Protobuf's JSON has it. */
export type Value = string | number | boolean | readonly number[];
/** The parameters that are set, by their field names. */
export type Values = Readonly<Record<string, Value>>;

export interface Step {
  /** Tells steps of the same name apart while they move. */
  readonly id: number;
  /** As in the Operation oneof. */
  readonly name: string;
  readonly isOn: boolean;
  readonly values: Values;
}

export interface Pipeline {
  readonly steps: readonly Step[];
  readonly output: Values;
}

export const EMPTY_PIPELINE: Pipeline = { steps: [], output: {} };

/** The most that the API takes. */
export const MAX_STEPS = 32;

/** The steps that are on. Throws where a value is not of its field's type. */
export function toOperations({ steps }: Pipeline): Operation[] {
  return steps
    .filter(({ isOn }) => isOn)
    .map(({ name, values }) => fromJson(OperationSchema, { [name]: toJson(values) }));
}

/** Throws where a value is not of its field's type. */
export function toOutput({ output }: Pipeline): Output {
  return fromJson(OutputSchema, toJson(output));
}

function toJson(values: Values): JsonObject {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, Array.isArray(value) ? [...value] : value]),
  ) as JsonObject; // A parse boundary: fromJson checks it.
}

/** The pipeline as the JSON of a call: `operations` and `output`. */
export function toCallJson(pipeline: Pipeline): JsonObject {
  const operations = pipeline.steps
    .filter(({ isOn }) => isOn)
    .map(({ name, values }) => ({ [name]: toJson(values) }));
  const output = toJson(pipeline.output);
  return {
    ...(operations.length > 0 && { operations }),
    ...(Object.keys(output).length > 0 && { output }),
  };
}

/** What a new step begins with, where the defaults alone are no complete operation. */
export function startValues(
  operation: OperationDescription,
  side: { width: number; height: number },
): Values {
  const own = starts[operation.name]?.(side) ?? {};
  const required = operation.parameters.filter(({ name, required: isNeeded }) => isNeeded && !(name in own));
  const choices = required.flatMap(({ name, values: [first] }) =>
    first === undefined ? [] : [[name, first]],
  );
  return { ...Object.fromEntries(choices), ...own };
}

type Start = (side: { width: number; height: number }) => Values;

const starts: Readonly<Record<string, Start>> = {
  resize: ({ width }) => ({ width: Math.max(1, Math.round(width / 2)) }),
  crop: ({ width, height }) => ({
    width: Math.max(1, Math.round(width / 2)),
    height: Math.max(1, Math.round(height / 2)),
    gravity: 'GRAVITY_CENTER',
  }),
  rotate: () => ({ angle: 90 }),
  extend: () => ({ left: 24, top: 24, right: 24, bottom: 24 }),
  text: () => ({ text: 'imagemesh' }),
  convolve: () => ({ kernel: [0, -1, 0, -1, 5, -1, 0, -1, 0] }),
  blur_region: ({ width, height }) => ({
    left: Math.round(width / 4),
    top: Math.round(height / 4),
    width: Math.max(1, Math.round(width / 2)),
    height: Math.max(1, Math.round(height / 2)),
  }),
  perspective: ({ width, height }) => ({
    corners: [width * 0.1, 0, width * 0.9, 0, width, height, 0, height].map(Math.round),
  }),
};
