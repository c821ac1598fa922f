/** From operations to the operation syntax of URLs: the short form, which reads back as the same. Pure. */
import type { DescField, DescMessage, Message } from '@bufbuild/protobuf';
import { reflect } from '@bufbuild/protobuf/reflect';
import {
  type Operation,
  OperationSchema,
  type Output,
  OutputSchema,
} from '../gen/imagemesh/v1/operation_pb.ts';
import { writeFieldText } from './field-text.ts';
import {
  argumentSeparator,
  hasSize,
  isColor,
  isText,
  itemSeparator,
  maxSteps,
  maxSyntaxChars,
  outputStep,
  parametersOf,
  stepSeparator,
} from './grammar.ts';

/**
 * Fit for the path of a URL as it is; a query encodes it. Undefined where the syntax cannot say it: the text would be longer than it
 * may be, or `output.accept` is set.
 */
export function formatOperations(operations: readonly Operation[], output?: Output): string | undefined {
  if (output !== undefined && output.accept.length > 0) return undefined;
  const steps = operations.map((operation) => {
    const field = OperationSchema.fields.find(({ localName }) => localName === operation.operation.case);
    const value = operation.operation.value;
    return field?.message === undefined || value === undefined
      ? ''
      : formatStep(field.name, field.message, value);
  });
  if (output !== undefined) steps.push(formatStep(outputStep, OutputSchema, output));
  const text = steps.join(stepSeparator);
  return text.length > maxSyntaxChars || steps.length > maxSteps ? undefined : text;
}

function formatStep(name: string, message: DescMessage, value: Message): string {
  const reflected = reflect(message, value);
  const given = new Map<DescField, string>();
  for (const field of parametersOf(message)) {
    const isDefault = field.fieldKind === 'enum' && reflected.get(field) === 0;
    if (reflected.isSet(field) && !isDefault) given.set(field, textOf(field, reflected.get(field)));
  }
  const parts: string[] = [];
  if (hasSize(message)) {
    const [width, height] = ['width', 'height'].map((side) =>
      [...given.keys()].find((field) => field.name === side),
    );
    if (width !== undefined || height !== undefined) {
      parts.push(`${width ? given.get(width) : ''}x${height ? given.get(height) : ''}`);
      if (width !== undefined) given.delete(width);
      if (height !== undefined) given.delete(height);
    }
  }
  const [first] = parametersOf(message);
  for (const [field, text] of given) {
    parts.push(parts.length === 0 && field === first ? text : `${field.name}=${text}`);
  }
  return parts.length === 0 ? name : `${name}:${parts.join(argumentSeparator)}`;
}

function textOf(field: DescField, value: unknown): string {
  const items =
    field.fieldKind === 'list' && value !== null && typeof value === 'object' ? [...iterable(value)] : value;
  const text = writeFieldText(field, items, itemSeparator);
  if (!isText(field)) return text;
  return percentEncoded(isColor(field) ? text.replace(/^#/, '') : text);
}

function iterable(value: object): Iterable<unknown> {
  // A parse boundary: the reflection of a list is one of its items.
  return value as Iterable<unknown>;
}

/** What a path may hold, and what no separator is, stands as it is. */
function percentEncoded(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
