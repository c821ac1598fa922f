/** From the operation syntax of URLs to operations. Linear in the text, which is bounded; errors point at the place. */
import { type DescField, type DescMessage, fromJson, type JsonObject } from '@bufbuild/protobuf';
import { type Operation, OperationSchema, type Output, OutputSchema, syntax } from '@imagemesh/api';
import { MeshError, validateMessage } from '@imagemesh/rpc';
import { readFieldText } from './field-text.ts';
import { mergeOutput } from './merge-output.ts';

export interface ParsedOperations {
  readonly operations: readonly Operation[];
  /** Undefined where the text says nothing of it. */
  readonly output: Output | undefined;
}

/** What a name stands for; undefined where it is none. */
export type FindPreset = (name: string) => ParsedOperations | undefined;

/** A part of the text, and where it begins, from 0. */
interface Part {
  readonly text: string;
  readonly at: number;
}

const sizePattern = /^(\d{0,9})x(\d{0,9})$/;

/** INVALID_REQUEST that says which character of the text (from 1) is wrong, and names the field `ops`. */
export function parseOperations(text: string, findPreset: FindPreset = () => undefined): ParsedOperations {
  if (text.length > syntax.maxSyntaxChars)
    throw wrong({ text, at: 0 }, `is longer than ${syntax.maxSyntaxChars} characters`);
  const operations: Operation[] = [];
  let output: Output | undefined;
  let isEnded = false;
  const steps = text === '' ? [] : split({ text, at: 0 }, syntax.stepSeparator);
  if (steps.length > syntax.maxSteps) throw wrong({ text, at: 0 }, `has more than ${syntax.maxSteps} steps`);
  for (const step of steps) {
    const [name, rest] = splitOnce(step, ':');
    const key = decode(name).toLowerCase().replaceAll('-', '_');
    if (isEnded) throw wrong(step, 'follows output, which must come last');
    if (key === syntax.outputStep) {
      const { values, places } = readArguments(OutputSchema, step, rest);
      const given = fromJson(OutputSchema, values);
      checked(step, () => validateMessage(OutputSchema, given), places);
      output = output === undefined ? given : mergeOutput(output, given);
      isEnded = true;
    } else if (key === syntax.presetStep) {
      const presetName = rest === undefined ? '' : decode(rest);
      const preset = findPreset(presetName);
      if (preset === undefined) throw wrong(rest ?? step, `there is no preset ${JSON.stringify(presetName)}`);
      operations.push(...preset.operations);
      output = preset.output === undefined ? output : mergeOutput(output, preset.output);
    } else {
      operations.push(readOperation(key, name, step, rest));
    }
  }
  return { operations, output };
}

function readOperation(key: string, name: Part, step: Part, rest: Part | undefined): Operation {
  const field = syntax.operationFields.get(key);
  if (field === undefined) {
    const known = [...syntax.operationFields.keys(), syntax.outputStep, syntax.presetStep].join(', ');
    throw wrong(name, name.text === '' ? 'a step has no name' : `is no operation; there are ${known}`);
  }
  const { values, places } = readArguments(field.message, step, rest);
  const operation = checked(step, () => fromJson(OperationSchema, { [field.name]: values }));
  checked(step, () => validateMessage(OperationSchema, operation), places);
  return operation;
}

interface Arguments {
  /** The fields of a step as JSON. */
  readonly values: JsonObject;
  /** Where each was given, by its name. */
  readonly places: ReadonlyMap<string, Part>;
}

function readArguments(message: DescMessage, step: Part, rest: Part | undefined): Arguments {
  const parameters = syntax.parametersOf(message);
  // Without a prototype: names come from outside.
  const values: JsonObject = Object.create(null);
  const places = new Map<string, Part>();
  const set = (field: DescField, part: Part, text: string) => {
    places.set(field.name, part);
    if (values[field.name] !== undefined) throw wrong(part, `${field.name} is given twice`);
    const full = syntax.isColor(field) && !text.startsWith('#') ? `#${text}` : text;
    values[field.name] = syntax.isText(field)
      ? full
      : checked(part, () => readFieldText(field, field.name, full, syntax.itemSeparator));
  };
  const parts = rest === undefined ? [] : split(rest, syntax.argumentSeparator);
  if (parts.length > syntax.maxArguments) throw wrong(step, `has more than ${syntax.maxArguments} arguments`);
  let next = 0;
  for (const part of parts) {
    const [first, named] = splitOnce(part, '=');
    if (named !== undefined) {
      const name = decode(first).toLowerCase().replaceAll('-', '_');
      const field = parameters.find((candidate) => candidate.name === name);
      if (field === undefined) {
        const known = parameters.map((candidate) => candidate.name).join(', ');
        throw wrong(first, known === '' ? 'takes no arguments' : `is no argument here; there are ${known}`);
      }
      set(field, part, decode(named));
      continue;
    }
    const text = decode(part);
    const place = parameters[next];
    const [, width, height] = (syntax.hasSize(message) && sizePattern.exec(text)) || [];
    const flag = parameters.find((field) => syntax.isBoolean(field) && field.name === text);
    if (place !== undefined && syntax.isText(place)) {
      set(place, part, text);
      next += 1;
    } else if (width !== undefined && height !== undefined && width + height !== '') {
      for (const [name, side] of [
        ['width', width],
        ['height', height],
      ] as const) {
        const field = parameters.find((candidate) => candidate.name === name);
        if (side !== '' && field !== undefined) set(field, part, side);
      }
      next = parameters.findIndex(({ name }) => name === 'height') + 1;
    } else if (flag !== undefined) {
      set(flag, part, 'true');
    } else if (place === undefined) {
      throw wrong(part, parameters.length === 0 ? 'takes no arguments' : 'is one argument too many');
    } else {
      if (text !== '') set(place, part, text);
      next += 1;
    }
  }
  return { values, places };
}

function split({ text, at }: Part, separator: string): Part[] {
  let from = at;
  return text.split(separator).map((piece) => {
    const part = { text: piece, at: from };
    from += piece.length + separator.length;
    return part;
  });
}

function splitOnce({ text, at }: Part, separator: string): [Part, Part | undefined] {
  const end = text.indexOf(separator);
  if (end === -1) return [{ text, at }, undefined];
  const after = end + separator.length;
  return [
    { text: text.slice(0, end), at },
    { text: text.slice(after), at: at + after },
  ];
}

function decode(part: Part): string {
  try {
    return decodeURIComponent(part.text);
  } catch {
    throw wrong(part, 'has a % that no two hexadecimal digits of UTF-8 follow');
  }
}

/** Runs a check whose errors name a field, and has them say where in the text that is. */
function checked<Result>(part: Part, check: () => Result, places?: ReadonlyMap<string, Part>): Result {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof MeshError) || error.code !== 'invalid_argument') throw error;
    const field = error.violations[0]?.field.split('.').at(-1)?.split('[', 1)[0] ?? '';
    throw wrong(places?.get(field) ?? part, error.message);
  }
}

const maxShownChars = 60;

function wrong({ text, at }: Part, description: string): MeshError {
  const shown = text.length > maxShownChars ? `${text.slice(0, maxShownChars)}…` : text;
  const where = `at character ${at + 1}, ${JSON.stringify(shown)}`;
  return new MeshError('INVALID_REQUEST', `ops: ${where}: ${description}`, {
    metadata: { position: String(at + 1) },
    violations: [{ field: 'ops', description: `${where}: ${description}` }],
  });
}
