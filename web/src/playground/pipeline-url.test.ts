import { create } from '@bufbuild/protobuf';
import {
  type OperationDescription,
  OperationDescriptionSchema,
  type ParameterDescription,
  ParameterDescriptionSchema,
} from '@imagemesh/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_STEPS, type Pipeline, toOperations, type Value, type Values } from './pipeline.ts';
import { decodePipeline, encodePipeline } from './pipeline-url.ts';

function parameter(name: string, type: string, values: readonly string[] = []): ParameterDescription {
  return create(ParameterDescriptionSchema, { name, type, values: [...values] });
}

function operation(name: string, ...parameters: ParameterDescription[]): [string, OperationDescription] {
  return [name, create(OperationDescriptionSchema, { name, parameters })];
}

const fits = ['FIT_FILL', 'FIT_COVER', 'FIT_INSIDE'];
const formats = ['FORMAT_JPEG', 'FORMAT_PNG'];

/** One of each type that the catalogue has. */
const known = {
  operations: new Map([
    operation('resize', parameter('width', 'int32'), parameter('fit', 'imagemesh.v1.Fit', fits)),
    operation('crop', parameter('focal_x', 'double')),
    operation('text', parameter('text', 'string'), parameter('background', 'string')),
    operation('convolve', parameter('kernel', 'repeated double'), parameter('normalize', 'bool')),
    operation('edges'),
  ]),
  output: [
    parameter('format', 'imagemesh.v1.Format', formats),
    parameter('target_bytes', 'int64'),
    parameter('background', 'string'),
    parameter('accept', 'repeated imagemesh.v1.Format', formats),
  ],
};

const read = (query: string) => decodePipeline(query, known);

function anyValue({ type, values }: ParameterDescription): fc.Arbitrary<Value> {
  const double = fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0);
  switch (type) {
    case 'int32':
      return fc.integer();
    case 'int64':
      return fc.maxSafeInteger();
    case 'double':
      return double;
    case 'bool':
      return fc.boolean();
    case 'string':
      return fc.string({ unit: 'binary' });
    case 'repeated double':
      return fc.array(double, { maxLength: 25 });
    default:
      return fc.constantFrom(...values);
  }
}

function anyValues(parameters: readonly ParameterDescription[]): fc.Arbitrary<Values> {
  const entry = (each: ParameterDescription) =>
    anyValue(each).map((value): [string, Value] => [each.name, value]);
  return fc
    .subarray(parameters.filter(({ name }) => name !== 'accept'))
    .chain((given) => fc.tuple(...given.map(entry)))
    .map((entries) => Object.fromEntries(entries));
}

const anyPipeline: fc.Arbitrary<Pipeline> = fc.record({
  steps: fc
    .array(
      fc
        .constantFrom(...known.operations.values())
        .chain(({ name, parameters }) =>
          fc.record({ name: fc.constant(name), isOn: fc.boolean(), values: anyValues(parameters) }),
        ),
      { maxLength: MAX_STEPS },
    )
    .map((steps) => steps.map((step, id) => ({ id, ...step }))),
  output: anyValues(known.output),
});

describe('the pipeline in the address', () => {
  it('reads back as it was written, also by way of an address', () => {
    fc.assert(
      fc.property(anyPipeline, (pipeline) => {
        const query = encodePipeline(pipeline);
        expect(read(query)).toEqual(pipeline);
        expect(new URL(`http://a/#/playground?${query}`).hash).toBe(`#/playground?${query}`);
      }),
      { numRuns: 500 },
    );
  });

  it('is readable', () => {
    const values = { width: 400, fit: 'FIT_COVER' };
    const kernel = [0, -1, 0.5];
    expect(
      encodePipeline({
        steps: [
          { id: 0, name: 'resize', isOn: true, values },
          { id: 1, name: 'edges', isOn: false, values: {} },
          { id: 2, name: 'convolve', isOn: true, values: { kernel } },
        ],
        output: { format: 'FORMAT_PNG' },
      }),
    ).toBe('ops=resize:width=400,fit=FIT_COVER/-edges/convolve:kernel=0~-1~0.5&format=FORMAT_PNG');
    expect(encodePipeline({ steps: [], output: {} })).toBe('');
  });

  it.each([
    ['an operation that there is not', 'ops=edges/enlarge:by=2/edges', ['edges', 'edges']],
    ['names from the prototype', 'ops=__proto__/constructor/toString:width=1', []],
    ['capitals', 'ops=Edges', []],
    ['nothing', 'ops=//&&=&', []],
  ])('leaves out %s', (_, query, names) => {
    expect(read(query).steps.map(({ name }) => name)).toEqual(names);
  });

  it.each([
    'ops=resize:width=1.5',
    'ops=resize:width=1e12',
    'ops=resize:width=',
    'ops=resize:width=NaN',
    'ops=resize:width=%zz',
    'ops=resize:fit=FIT_ROUND',
    'ops=resize:__proto__=1',
    'ops=convolve:kernel=1~~2',
    'ops=convolve:kernel=1~x',
    'ops=convolve:normalize=yes',
    'ops=crop:focal_x=Infinity',
  ])('leaves out a value that is none of its field: %s', (query) => {
    const { steps } = read(query);
    expect(steps).toMatchObject([{ values: {} }]);
    expect(Object.keys(steps[0]?.values ?? {})).toEqual([]);
  });

  it('stops at as many steps as the API takes', () => {
    expect(read(`ops=${'edges/'.repeat(1000)}`).steps).toHaveLength(MAX_STEPS);
  });

  it('takes any text at all, and yields what can be sent', () => {
    const pieces = fc.oneof(
      fc.constantFrom('ops=', '/', ':', ',', '=', '&', '-', '~', '%', '%2', '%F0%9F', '__proto__', '\ud800'),
      fc.constantFrom(...known.operations.keys(), 'width', 'fit', 'FIT_COVER', 'kernel', '1', '-0', '1e999'),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 60 }), (parts) => {
        const pipeline = read(parts.join(''));
        expect(pipeline.steps.length).toBeLessThanOrEqual(MAX_STEPS);
        for (const { name } of pipeline.steps) expect(known.operations.has(name)).toBe(true);
        expect(toOperations(pipeline).length).toBeLessThanOrEqual(MAX_STEPS);
        // What was understood stays so.
        expect(read(encodePipeline(pipeline)).output).toEqual(pipeline.output);
      }),
      { numRuns: 500 },
    );
  });

  it('writes half a character as the one that stands for such', () => {
    const values = { text: 'a\ud800b' };
    const query = encodePipeline({ steps: [{ id: 0, name: 'text', isOn: true, values }], output: {} });
    expect(read(query).steps[0]?.values).toEqual({ text: 'a\ufffdb' });
  });
});
