/**
 * A form as a request for a job: the fields of POST /resize, /crop and /filter are those of the operation's message
 * and of Output, by their names in the proto files. What the API gains there, the forms gain.
 */
import {
  create,
  type DescField,
  fromJson,
  getOption,
  type JsonObject,
  type JsonValue,
  ScalarType,
} from '@bufbuild/protobuf';
import {
  type CreateJobRequest,
  CreateJobRequestSchema,
  type Operation,
  OperationSchema,
  OutputSchema,
  operation as operationOptions,
  WorkerKind,
} from '@imagemesh/api';
import { invalidField, validateMessage } from '@imagemesh/rpc';

export type FormKind = 'resize' | 'crop' | 'filter';

/** Fields that are not the operation's or the output's. */
const ownFields: ReadonlySet<string> = new Set(['image', 'filter', 'request_id']);

/** INVALID_REQUEST that names the field. Empty fields count as not given, as browsers send them. */
export function formToJob(kind: FormKind, fields: ReadonlyMap<string, string>): CreateJobRequest {
  const given = new Map([...fields].filter(([, value]) => value.trim() !== ''));
  const imageId = given.get('image');
  if (imageId === undefined) throw invalidField('image', 'must be the id of an uploaded image');
  if (!/^[0-9a-f]{64}$/.test(imageId)) {
    throw invalidField(
      'image',
      'must be an image id, 64 lower-case hexadecimal digits, as POST /upload answers',
    );
  }
  const member = operationOf(kind, given.get('filter'));
  const operation: JsonObject = {};
  const output: JsonObject = {};
  for (const [name, text] of given) {
    const part = member.message.fields.find((field) => field.name === name);
    const outputPart = OutputSchema.fields.find((field) => field.name === name);
    if (part !== undefined) operation[name] = toJsonValue(part, text);
    else if (outputPart !== undefined) output[name] = toJsonValue(outputPart, text);
    else if (!ownFields.has(name) || (name === 'filter' && kind !== 'filter')) {
      throw invalidField(name, `is not known; known are ${knownFields(member.message.fields, kind)}`);
    }
  }
  const message = fromJson(member.message, operation);
  validateMessage(member.message, message);
  // A parse boundary: the member and its message belong together, which the types cannot say.
  const parsed = { case: member.localName, value: message } as unknown as Operation['operation'];
  const request = create(CreateJobRequestSchema, {
    requestId: given.get('request_id') ?? '',
    source: { source: { case: 'imageId', value: imageId } },
    variants: [
      {
        operations: [create(OperationSchema, { operation: parsed })],
        output: fromJson(OutputSchema, output),
      },
    ],
  });
  validateMessage(CreateJobRequestSchema, request);
  return request;
}

type MessageField = DescField & { readonly fieldKind: 'message' };

function operationOf(kind: FormKind, filter: string | undefined): MessageField {
  const members = OperationSchema.fields.filter((field) => field.fieldKind === 'message');
  const eligible = members.filter((member) => (kind === 'filter' ? isFilter(member) : member.name === kind));
  const wanted = kind === 'filter' ? filter?.trim().toLowerCase().replaceAll('-', '_') : kind;
  const found = eligible.find(({ name }) => name === wanted);
  if (found !== undefined) return found;
  throw invalidField('filter', `must be one of ${eligible.map(({ name }) => name).join(', ')}`);
}

/** Whether only the filter service does it: resize, crop and the like have forms or variants of their own. */
function isFilter({ message }: MessageField): boolean {
  const { workers } = getOption(message, operationOptions);
  return workers.length === 1 && workers[0] === WorkerKind.FILTER;
}

function toJsonValue(field: DescField, text: string): JsonValue {
  const trimmed = text.trim();
  switch (field.fieldKind) {
    case 'enum':
      return enumName(field, trimmed);
    case 'list':
      return trimmed.split(',').map((item) => listItem(field, item.trim()));
    case 'scalar':
      return scalar(field, field.scalar, trimmed);
    case 'message':
    case 'map':
      throw invalidField(field.name, 'cannot be given in a form');
    default:
      return field satisfies never;
  }
}

/** Lists are written with commas. */
function listItem(field: DescField & { readonly fieldKind: 'list' }, text: string): JsonValue {
  return field.listKind === 'scalar' ? scalar(field, field.scalar, text) : enumName(field, text);
}

/** "cover" for FIT_COVER, "jpg" for FORMAT_JPEG; the full name does too. */
function enumName(field: DescField, text: string): string {
  if (field.enum === undefined) throw invalidField(field.name, 'cannot be given in a form');
  const wanted = text.toUpperCase().replaceAll('-', '_').replace(/^JPG$/, 'JPEG');
  const values = field.enum.values.filter(({ number }) => number !== 0);
  const found = values.find(({ name, localName }) => name === wanted || localName === wanted);
  if (found !== undefined) return found.name;
  const names = values.map(({ localName }) => localName.toLowerCase());
  throw invalidField(field.name, `must be one of ${names.join(', ')}`);
}

function scalar(field: DescField, type: ScalarType, text: string): JsonValue {
  switch (type) {
    case ScalarType.BOOL: {
      if (/^(true|1|on|yes)$/i.test(text)) return true;
      if (/^(false|0|off|no)$/i.test(text)) return false;
      throw invalidField(field.name, 'must be true or false');
    }
    case ScalarType.STRING:
      return text;
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT: {
      const number = Number(text);
      if (!Number.isFinite(number)) throw invalidField(field.name, 'must be a number');
      return number;
    }
    default: {
      if (!/^[+-]?\d{1,9}$/.test(text)) throw invalidField(field.name, 'must be a whole number');
      return Number(text);
    }
  }
}

function knownFields(fields: readonly DescField[], kind: FormKind): string {
  const own = [...ownFields].filter((name) => name !== 'filter' || kind === 'filter');
  return [...own, ...[...fields, ...OutputSchema.fields].map(({ name }) => name)].join(', ');
}
