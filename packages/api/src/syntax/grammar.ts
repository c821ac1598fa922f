/**
 * The operation syntax of URLs, `resize:800x600,cover/blur:5`: what the gateway's parser and the formatter share. docs/urls.md describes it.
 * Everything is derived from the descriptors, so that what the API gains, the syntax has.
 */
import { type DescField, type DescMessage, getOption, ScalarType } from '@bufbuild/protobuf';
import { field as rules } from '../gen/buf/validate/validate_pb.ts';
import { OperationSchema, OutputSchema } from '../gen/imagemesh/v1/operation_pb.ts';

export const maxSyntaxChars = 4096;
export const maxSteps = 33;
export const maxArguments = 32;

export const stepSeparator = '/';
export const argumentSeparator = ',';
export const itemSeparator = ';';

/** The step that holds how the result is encoded, and the one that stands for others. */
export const outputStep = 'output';
export const presetStep = 'preset';

export type OperationField = DescField & { readonly fieldKind: 'message' };

/** By name, as in the Operation oneof. */
export const operationFields: ReadonlyMap<string, OperationField> = new Map(
  OperationSchema.fields.flatMap((field) => (field.fieldKind === 'message' ? [[field.name, field]] : [])),
);

/** Fields that values can be given to, in the order in which they stand without a name. */
export function parametersOf(message: DescMessage): readonly DescField[] {
  // What a FORMAT_AUTO may be comes with the request.
  return message.fields.filter(({ name }) => message !== OutputSchema || name !== 'accept');
}

/** Whether `800x600` gives the message's width and height. */
export function hasSize(message: DescMessage): boolean {
  return message.field.width !== undefined && message.field.height !== undefined;
}

export function isBoolean(field: DescField): boolean {
  return field.fieldKind === 'scalar' && field.scalar === ScalarType.BOOL;
}

export function isText(field: DescField): boolean {
  return field.fieldKind === 'scalar' && field.scalar === ScalarType.STRING;
}

/** Whether it is a colour, which URLs write without its #. */
export function isColor(field: DescField): boolean {
  const { type } = getOption(field, rules);
  return type.case === 'string' && type.value.pattern.startsWith('^#');
}
