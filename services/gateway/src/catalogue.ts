/** The operations as programs see them: made of the descriptors, their options and their rules. Pure. */
import { create, type DescField, type DescMessage, getOption, hasOption } from '@bufbuild/protobuf';
import {
  field as fieldRulesOption,
  type OperationDescription,
  OperationDescriptionSchema,
  OperationSchema,
  OutputSchema,
  operation,
  type ParameterDescription,
  ParameterDescriptionSchema,
  parameter,
  type ValidationRules,
} from '@imagemesh/api';

/** Every operation, in the order of the Operation oneof. */
export function listOperations(): readonly OperationDescription[] {
  return OperationSchema.fields.flatMap((field) =>
    field.message === undefined ? [] : [describeOperation(field.name, field.message)],
  );
}

/** How a result is encoded, described as an operation's parameters are. */
export function listOutputParameters(): readonly ParameterDescription[] {
  return describeParameters(OutputSchema);
}

function describeOperation(name: string, message: DescMessage): OperationDescription {
  return create(OperationDescriptionSchema, {
    name,
    options: getOption(message, operation),
    parameters: describeParameters(message),
  });
}

function describeParameters(message: DescMessage): ParameterDescription[] {
  return message.fields.filter((field) => hasOption(field, parameter)).map(describeParameter);
}

function describeParameter(field: DescField): ParameterDescription {
  const rules = getOption(field, fieldRulesOption);
  const isList = field.fieldKind === 'list';
  const own = isList && rules.type.case === 'repeated' ? rules.type.value.items : rules;
  const { minimum, maximum, values } = rangeOf(own);
  const enumValues = enumOf(field)?.values.filter(
    ({ number }) => number !== 0 && !excluded(own).includes(number),
  );
  return create(ParameterDescriptionSchema, {
    name: field.name,
    options: getOption(field, parameter),
    type: `${isList ? 'repeated ' : ''}${typeOf(field)}`,
    ...(minimum !== undefined && { minimum }),
    ...(maximum !== undefined && { maximum }),
    values: enumValues?.map(({ name }) => name) ?? [...values],
    required: rules.required || (isList && rules.type.case === 'repeated' && rules.type.value.minItems > 0n),
  });
}

interface Range {
  readonly minimum?: number;
  readonly maximum?: number;
  readonly values: readonly string[];
}

function rangeOf(rules: ValidationRules | undefined): Range {
  switch (rules?.type.case) {
    case 'int32':
    case 'int64':
    case 'double': {
      const { greaterThan, lessThan, in: values } = rules.type.value;
      return {
        ...(greaterThan.case === 'gte' && { minimum: Number(greaterThan.value) }),
        ...(lessThan.case === 'lte' && { maximum: Number(lessThan.value) }),
        values: values.map(String),
      };
    }
    case 'string': {
      // Characters.
      const { minLen, maxLen } = rules.type.value;
      return {
        ...(minLen > 0n && { minimum: Number(minLen) }),
        ...(maxLen > 0n && { maximum: Number(maxLen) }),
        values: [],
      };
    }
    default:
      return { values: [] };
  }
}

function excluded(rules: ValidationRules | undefined): readonly number[] {
  return rules?.type.case === 'enum' ? rules.type.value.notIn : [];
}

function enumOf(field: DescField) {
  if (field.fieldKind === 'enum') return field.enum;
  return field.fieldKind === 'list' && field.listKind === 'enum' ? field.enum : undefined;
}

const scalarNames: Readonly<Record<number, string>> = {
  1: 'double',
  3: 'int64',
  5: 'int32',
  8: 'bool',
  9: 'string',
};

function typeOf(field: DescField): string {
  const named = enumOf(field);
  if (named !== undefined) return named.typeName;
  const isScalar =
    field.fieldKind === 'scalar' || (field.fieldKind === 'list' && field.listKind === 'scalar');
  return isScalar ? (scalarNames[field.scalar] ?? 'unknown') : 'message';
}
