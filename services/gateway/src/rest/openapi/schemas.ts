/** Schemas (JSON Schema 2020-12) of what the HTTP side takes and answers; those of parameters are made of the descriptors. */
import type { ParameterDescription } from '@imagemesh/api';
import { ERROR_CODES, ERROR_REASONS } from '@imagemesh/rpc';
import { listOperations, listOutputParameters } from '../../catalogue.ts';

export type Schema = Readonly<Record<string, unknown>>;

const imageId = { type: 'string', pattern: '^[0-9a-f]{64}$', description: 'SHA-256 of the bytes.' };
const count = { type: 'integer', minimum: 0 };
const time = { type: 'string', format: 'date-time' };

export const schemas: Readonly<Record<string, Schema>> = {
  Error: object({
    error: object(
      {
        code: { type: 'string', enum: Object.keys(ERROR_CODES) },
        reason: {
          type: 'string',
          enum: Object.keys(ERROR_REASONS),
          description: 'The same as in ErrorInfo.',
        },
        message: { type: 'string' },
        request_id: { type: 'string' },
        details: {
          type: 'object',
          properties: {
            violations: {
              type: 'array',
              items: object({ field: { type: 'string' }, description: { type: 'string' } }),
            },
            metadata: { type: 'object', additionalProperties: { type: 'string' } },
          },
        },
      },
      ['details'],
    ),
  }),
  Image: object(
    {
      image_id: imageId,
      format: { type: 'string' },
      width: { ...count, description: 'In px, as stored.' },
      height: { ...count, description: 'In px, as stored.' },
      size_bytes: count,
      filename: { type: 'string' },
      create_time: time,
    },
    ['filename', 'create_time'],
  ),
  JobAccepted: object({ task_id: { type: 'string' }, state: { $ref: '#/components/schemas/JobState' } }),
  JobState: {
    type: 'string',
    enum: ['QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED'].map((state) => `JOB_STATE_${state}`),
  },
  Job: object(
    {
      task_id: { type: 'string' },
      state: { $ref: '#/components/schemas/JobState' },
      source_image_id: imageId,
      attempts: count,
      results: {
        type: 'array',
        items: object({
          name: { type: 'string' },
          image_id: imageId,
          url: { type: 'string', description: 'Path of its bytes.' },
          format: { type: 'string' },
          width: count,
          height: count,
          size_bytes: count,
        }),
      },
      error: object({ code: { type: 'string' }, reason: { type: 'string' }, message: { type: 'string' } }),
      create_time: time,
      start_time: time,
      end_time: time,
    },
    ['error', 'create_time', 'start_time', 'end_time'],
  ),
};

/** How a result is encoded, by name. */
export function outputProperties(): Readonly<Record<string, Schema>> {
  return propertiesOf(listOutputParameters());
}

/** The fields of a form: of the operation (of any filter, where it says which), of the output, and of the form itself. */
export function formProperties(kind: 'resize' | 'crop' | 'filter'): Readonly<Record<string, Schema>> {
  const own = listOperations().find(({ name }) => name === kind);
  return {
    image: { type: 'string', description: 'An id as POST /upload answers it, or the image as a file.' },
    ...(kind === 'filter' && {
      filter: { type: 'string', description: 'The name of the filter; its parameters are further fields.' },
    }),
    preset: { type: 'string', description: 'The steps of the preset follow.' },
    request_id: { type: 'string', description: 'The same again answers the same job.' },
    webhook_url: {
      type: 'string',
      format: 'uri',
      maxLength: 2048,
      description: "Where the event of the job's end is posted, signed; https. See docs/events.md.",
    },
    ...outputProperties(),
    ...(own !== undefined && propertiesOf(own.parameters)),
  };
}

function propertiesOf(parameters: readonly ParameterDescription[]): Record<string, Schema> {
  return Object.fromEntries(parameters.map((parameter) => [parameter.name, schemaOf(parameter)]));
}

function schemaOf({ type, minimum, maximum, options, values }: ParameterDescription): Schema {
  const unit = options?.unit ? ` In ${options.unit}.` : '';
  const description = `${options?.summary ?? ''}${unit}`;
  const isNumber = type === 'double' || type === 'int32' || type === 'int64';
  if (values.length > 0 && !isNumber) {
    return {
      type: 'string',
      description: `${description} One of ${values.join(', ')}, or short: cover for FIT_COVER.`,
    };
  }
  if (!isNumber) return { type: type === 'bool' ? 'boolean' : 'string', description };
  return {
    type: type === 'double' ? 'number' : 'integer',
    description,
    ...(minimum !== undefined && { minimum }),
    ...(maximum !== undefined && { maximum }),
    ...(values.length > 0 && { enum: values.map(Number) }),
  };
}

/** An object whose properties are all required but those named. */
function object(properties: Readonly<Record<string, Schema>>, optional: readonly string[] = []): Schema {
  return {
    type: 'object',
    properties,
    required: Object.keys(properties).filter((name) => !optional.includes(name)),
  };
}
