/**
 * A pipeline in the address: `ops=resize:width=400,fit=FIT_COVER/blur:size=9/-edges&format=FORMAT_WEBP`. A step that is off
 * has "-" before it; numbers of a list are parted by "~". Pure.
 */
import type { OperationDescription, ParameterDescription } from '@imagemesh/api';
import { MAX_STEPS, type Pipeline, type Step, type Value, type Values } from './pipeline.ts';

interface Known {
  readonly operations: ReadonlyMap<string, OperationDescription>;
  readonly output: readonly ParameterDescription[];
}

/** Readable as far as an address allows. */
export function encodePipeline({ steps, output }: Pipeline): string {
  const ops = steps.map(({ name, isOn, values }) => {
    const parts = Object.entries(values).map(([key, value]) => `${key}=${encodeValue(value)}`);
    return `${isOn ? '' : '-'}${name}${parts.length > 0 ? `:${parts.join(',')}` : ''}`;
  });
  const rest = Object.entries(output).map(([key, value]) => `${key}=${encodeValue(value)}`);
  return [...(ops.length > 0 ? [`ops=${ops.join('/')}`] : []), ...rest].join('&');
}

/** What the catalogue does not know, and what is not of its field's type, is left out; ranges are checked by the server alone. */
export function decodePipeline(query: string, known: Known): Pipeline {
  const pairs = query
    .split('&')
    .filter((pair) => pair !== '')
    .map(keyAndValue);
  const ops = pairs.find(([key]) => key === 'ops')?.[1] ?? '';
  const steps = ops
    .split('/')
    .slice(0, MAX_STEPS)
    .flatMap((text, id) => decodeStep(text, id, known));
  return { steps, output: decodeValues(pairs, known.output) };
}

function decodeStep(text: string, id: number, { operations }: Known): Step[] {
  const [, off, name = '', , rest = ''] = /^(-?)([a-z0-9_]+)(:(.*))?$/.exec(text) ?? [];
  const operation = operations.get(name);
  if (operation === undefined) return [];
  const pairs = rest
    .split(',')
    .filter((pair) => pair !== '')
    .map(keyAndValue);
  return [{ id, name, isOn: off !== '-', values: decodeValues(pairs, operation.parameters) }];
}

function decodeValues(
  pairs: readonly (readonly [string, string])[],
  parameters: readonly ParameterDescription[],
): Values {
  const known = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  return Object.fromEntries(
    pairs.flatMap(([key, text]) => {
      const value = decodeValue(text, known.get(key));
      return value === undefined ? [] : [[key, value]];
    }),
  );
}

function keyAndValue(pair: string): readonly [string, string] {
  const at = pair.indexOf('=');
  return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
}

function encodeValue(value: Value): string {
  const text = Array.isArray(value) ? value.join('~') : String(value);
  // Half a character cannot be encoded.
  return encodeURIComponent(text.replace(/\p{Surrogate}/gu, '\uFFFD'));
}

function decodeValue(encoded: string, parameter: ParameterDescription | undefined): Value | undefined {
  const text = decodeText(encoded);
  if (parameter === undefined || text === undefined) return undefined;
  const { type, values } = parameter;
  switch (type) {
    case 'int32':
    case 'int64': {
      const number = decodeNumber(text);
      return Number.isSafeInteger(number) && (type === 'int64' || Number(number) === (Number(number) | 0))
        ? number
        : undefined;
    }
    case 'double':
      return decodeNumber(text);
    case 'bool':
      return text === 'true' ? true : text === 'false' ? false : undefined;
    case 'string':
      return text;
    case 'repeated double': {
      const numbers = text === '' ? [] : text.split('~').map(decodeNumber);
      return numbers.every((number) => number !== undefined) ? numbers : undefined;
    }
    default:
      // An enum, or what this page does not know how to show.
      return values.includes(text) ? text : undefined;
  }
}

function decodeNumber(text: string): number | undefined {
  const number = Number(text);
  return text.trim() !== '' && Number.isFinite(number) ? number : undefined;
}

function decodeText(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return undefined;
  }
}
