/** docs/operations.md: written from what ListOperations answers. */
import type { JsonObject } from '@bufbuild/protobuf';
import {
  CostClass,
  type ListOperationsResponse,
  type OperationDescription,
  type ParameterDescription,
  WorkerKind,
} from '@imagemesh/api';
import { limitsEnvDocs } from '@imagemesh/image';
import { onPortrait } from './examples.ts';

export function operationsPage(
  { operations, outputParameters }: ListOperationsResponse,
  examples: Readonly<Record<string, JsonObject>>,
): string {
  const parts = [
    '# Operations',
    '<!-- Written by `npm run docs:operations` from the API itself; what to change stands in proto/imagemesh/v1. -->',
    'Every operation of a pipeline, as `ListOperations` describes it, with its exact meaning in the comments of the proto files. ' +
      'Operations run in the order given, on the image upright. Each example is one step of `operations` in a call:',
    code({
      source: { image_id: '…' },
      operations: [{ resize: { width: 800 } }, { blur: {} }],
      output: { format: 'FORMAT_WEBP' },
    }),
    'The picture before:',
    '![the picture before](operations/before.webp)',
    operations.map(({ name }) => `[${name}](#${name})`).join(' · '),
    ...operations.flatMap((operation) => describeOperation(operation, examples[operation.name] ?? {})),
    '## Output',
    'How a result is encoded: the fields of `output`.',
    parameterTable(outputParameters),
    '## Limits',
    'Each is an environment variable of the gateways and the replicas, and is refused by name (`ErrorInfo.metadata` has the value ' +
      'and the limit), from the header alone, before anything is decoded.',
    table(
      ['Variable', 'Default', 'What'],
      limitsEnvDocs.map(({ name, default: value = '', doc }) => [`\`${name}\``, value, doc]),
    ),
  ];
  return `${parts.join('\n\n')}\n`;
}

function describeOperation(
  { name, options, parameters }: OperationDescription,
  example: JsonObject,
): string[] {
  const workers = (options?.workers ?? []).map((kind) => (kind === WorkerKind.FILTER ? 'filter' : 'resize'));
  return [
    `## ${name}`,
    options?.summary ?? '',
    `Service: ${workers.join(' or ')}. Cost: ${costOf(options?.cost ?? CostClass.UNSPECIFIED)}.`,
    parameters.length === 0 ? 'No parameters.' : parameterTable(parameters),
    code({ [name]: example }),
    ...(onPortrait.has(name) ? ['![the portrait before](operations/before-portrait.webp) becomes'] : []),
    `![${name}](operations/${name}.webp)`,
  ];
}

function parameterTable(parameters: readonly ParameterDescription[]): string {
  return table(
    ['Field', 'Type', 'Range', 'Default', 'What'],
    parameters.map((parameter) => {
      const { name, type, options, required } = parameter;
      const unit = options?.unit ? `, ${options.unit}` : '';
      const fallback = options?.defaultValue ? `\`${options.defaultValue}\`` : '';
      return [
        `\`${name}\``,
        type.replace('imagemesh.v1.', '') + unit,
        rangeOf(parameter),
        required ? 'required' : fallback,
        options?.summary ?? '',
      ];
    }),
  );
}

function rangeOf({ minimum, maximum, values, type }: ParameterDescription): string {
  if (values.length > 0) return values.map((value) => `\`${value}\``).join(' ');
  if (minimum === undefined && maximum === undefined) return '';
  const characters = type === 'string' ? ' characters' : '';
  return `${minimum ?? ''} to ${maximum ?? ''}${characters}`;
}

function costOf(cost: CostClass): string {
  switch (cost) {
    case CostClass.TRIVIAL:
      return 'nearly free';
    case CostClass.KERNEL:
      return 'pixels times the kernel';
    default:
      return 'pixels';
  }
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function code(json: JsonObject): string {
  return `\`\`\`json\n${JSON.stringify(json)}\n\`\`\``;
}
