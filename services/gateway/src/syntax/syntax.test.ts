import { create, equals, fromJson, type JsonValue } from '@bufbuild/protobuf';
import {
  type Operation,
  OperationSchema,
  OutputSchema,
  type ParameterDescription,
  syntax,
  VariantSchema,
} from '@imagemesh/api';
import { MeshError, validateMessage } from '@imagemesh/rpc';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { listOperations, listOutputParameters } from '../catalogue.ts';
import { type ParsedOperations, parseOperations } from './parse-operations.ts';

function jsonOf({ operations, output }: ParsedOperations) {
  return {
    operations: operations.map(({ operation }) => ({ [operation.case ?? '']: plain(operation.value) })),
    output: plain(output),
  };
}

function plain(message: object | undefined): unknown {
  if (message === undefined) return undefined;
  return Object.fromEntries(
    Object.entries(message).filter(([name, value]) => name !== '$typeName' && value !== undefined),
  );
}

function refusal(text: string): MeshError {
  try {
    parseOperations(text);
  } catch (error) {
    if (error instanceof MeshError) return error;
    throw error;
  }
  throw new Error(`${text} was not refused`);
}

describe('the operation syntax', () => {
  it.each([
    ['resize:800x600', [{ resize: { width: 800, height: 600 } }]],
    ['resize:800', [{ resize: { width: 800 } }]],
    ['resize:x600', [{ resize: { height: 600 } }]],
    ['resize:800x600,cover', [{ resize: { width: 800, height: 600, fit: 2 } }]],
    ['resize:800,without-enlargement=true', [{ resize: { width: 800, withoutEnlargement: true } }]],
    [
      'resize:800x,without_enlargement,kernel=nearest',
      [{ resize: { width: 800, withoutEnlargement: true, kernel: 1 } }],
    ],
    ['crop:10,20,300x200', [{ crop: { left: 10, top: 20, width: 300, height: 200 } }]],
    ['crop:300x200,gravity=top', [{ crop: { width: 300, height: 200, gravity: 2 } }]],
    ['rotate:-90', [{ rotate: { angle: -90 } }]],
    ['rotate:30,ff0000', [{ rotate: { angle: 30, background: '#ff0000' } }]],
    ['gaussian-blur:5,1.2/grayscale', [{ gaussianBlur: { size: 5, sigma: 1.2 } }, { grayscale: {} }]],
    ['text:10x20%2C%20a%2Fb,size=20', [{ text: { text: '10x20, a/b', size: 20 } }]],
    ['convolve:0;1;0;1;-4;1;0;1;0', [{ convolve: { kernel: [0, 1, 0, 1, -4, 1, 0, 1, 0] } }]],
    ['', []],
  ])('reads %s', (text, operations) => {
    expect(jsonOf(parseOperations(text)).operations).toEqual(operations);
  });

  it('reads how the result is encoded, and presets', () => {
    const thumb = parseOperations('resize:10x10/output:webp,quality=70');
    const find = (name: string) => (name === 'thumb' ? thumb : undefined);
    const parsed = parseOperations('grayscale/preset:thumb', find);
    expect(jsonOf(parsed)).toMatchObject({
      operations: [{ grayscale: {} }, { resize: {} }],
      output: { format: 3, quality: 70 },
    });
    // Steps may follow a preset, and so may another saying of how the result is encoded.
    const more = jsonOf(parseOperations('preset:thumb/invert/output:quality=50', find));
    expect(more.operations.map((step) => Object.keys(step)[0])).toEqual(['resize', 'invert']);
    expect(more.output).toMatchObject({ format: 3, quality: 50 });
    expect(() => parseOperations('preset:constructor', find)).toThrow(/no preset "constructor"/);
  });

  it.each([
    ['resize:80Ox600', 'ops: at character 8, "80Ox600": width: must be a whole number'],
    ['blur:5/resise:3', 'ops: at character 8, "resise": is no operation'],
    ['blur:5/blur:4', 'ops: at character 13, "4": blur.size: must be odd'],
    ['blur:5/', 'ops: at character 8, "": a step has no name'],
    ['blur:size=5,size=7', 'ops: at character 13, "size=7": size is given twice'],
    ['blur:5,7', 'ops: at character 8, "7": is one argument too many'],
    ['invert:1', 'takes no arguments'],
    ['resize:fit=round', 'fit: must be one of fill, cover, contain'],
    ['resize:__proto__=1', 'at character 8, "__proto__": is no argument here'],
    ['resize:%zz', 'has a %'],
    ['output:quality=50/blur:5', 'follows output, which must come last'],
    ['output:accept=webp', 'is no argument here'],
    ['a'.repeat(5000), 'is longer than 4096 characters'],
    [Array.from({ length: 34 }, () => 'invert').join('/'), 'has more than 33 steps'],
    [`resize:${'1,'.repeat(40)}`, 'has more than 32 arguments'],
  ])('refuses %.40s and says where', (text, message) => {
    const error = refusal(text);
    expect(error.message).toContain(message);
    expect(error).toMatchObject({ reason: 'INVALID_REQUEST', violations: [{ field: 'ops' }] });
  });

  it('writes every operation of the catalogue so that it reads back as the same', () => {
    fc.assert(
      fc.property(fc.array(anyOperation(), { maxLength: 4 }), anyOutput(), (operations, output) => {
        const text = syntax.formatOperations(operations, output);
        if (text === undefined) throw new Error('it is short enough to be said');
        // What a URL's path keeps as it is.
        expect(new URL(`http://a/i/s/${text}/x`).pathname).toBe(`/i/s/${text}/x`);
        const parsed = parseOperations(text);
        const variant = (of: ParsedOperations) =>
          create(VariantSchema, { operations: [...of.operations], output: of.output });
        expect(equals(VariantSchema, variant(parsed), variant({ operations, output }))).toBe(true);
        expect(syntax.formatOperations(parsed.operations, parsed.output)).toBe(text);
      }),
      { numRuns: 500 },
    );
  });

  it('writes nothing where it cannot say it', () => {
    const text = (length: number) => [fromJson(OperationSchema, { text: { text: 'x'.repeat(length) } })];
    expect(syntax.formatOperations(text(4090))).toBe(`text:${'x'.repeat(4090)}`);
    expect(syntax.formatOperations(text(4092))).toBeUndefined();
    const accept = fromJson(OutputSchema, { format: 'FORMAT_AUTO', accept: ['FORMAT_WEBP'] });
    expect(syntax.formatOperations([], accept)).toBeUndefined();
  });

  it('answers any text at all, fast, with operations or a refusal', () => {
    const names = listOperations().map(({ name }) => name);
    const piece = fc.oneof(
      fc.constantFrom('/', ':', ',', '=', ';', '%', '%2', 'x', '__proto__', ...names),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 200 }), (pieces) => {
        try {
          parseOperations(pieces.join(''));
        } catch (error) {
          expect(error).toMatchObject({ reason: 'INVALID_REQUEST' });
        }
      }),
      { numRuns: 1000 },
    );
  });
});

/** Valid ones only: half of what is made at random is not. */
function anyOperation(): fc.Arbitrary<Operation> {
  const descriptions = listOperations();
  return fc
    .constantFrom(...descriptions)
    .chain(({ name, parameters }) => anyFields(parameters).map((fields) => ({ [name]: fields })))
    .map((json) => fromJson(OperationSchema, json))
    .filter((operation) => isValid(() => validateMessage(OperationSchema, operation)));
}

function anyOutput() {
  const parameters = listOutputParameters().filter(({ name }) => name !== 'accept');
  return fc
    .option(anyFields(parameters), { nil: undefined })
    .map((output) => (output === undefined ? undefined : fromJson(VariantSchema, { output }).output));
}

function anyFields(parameters: readonly ParameterDescription[]): fc.Arbitrary<Record<string, JsonValue>> {
  const model = Object.fromEntries(parameters.map((parameter) => [parameter.name, anyValue(parameter)]));
  const requiredKeys = parameters.filter(({ required }) => required).map(({ name }) => name);
  return fc.record(model, { requiredKeys });
}

function anyValue({
  name,
  type,
  values,
  minimum = 0,
  maximum = 65_535,
}: ParameterDescription): fc.Arbitrary<JsonValue> {
  const hex = (length: number) =>
    fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length });
  if (values.length > 0)
    return fc.constantFrom(...values.map((value) => (/^\d+$/.test(value) ? Number(value) : value)));
  if (name === 'corners')
    return fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 8, maxLength: 8 });
  if (name === 'kernel')
    return fc.array(fc.double({ min: -9, max: 9, noNaN: true }), { minLength: 9, maxLength: 9 });
  if (name === 'image_id') return hex(64);
  if (/background|color/.test(name) && type === 'string') return hex(6).map((digits) => `#${digits}`);
  switch (type) {
    case 'bool':
      return fc.boolean();
    case 'string':
      return fc.string({ minLength: 1, maxLength: 20 });
    case 'double':
      return fc.double({ min: minimum, max: maximum, noNaN: true }).map((number) => number + 0);
    default:
      return fc.integer({ min: minimum, max: maximum });
  }
}

function isValid(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}
