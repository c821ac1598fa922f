/**
 * A form as a request for a job: the fields of POST /resize, /crop and /filter are those of the operation's message
 * and of Output, by their names in the proto files. What the API gains there, the forms gain. A name that both have is
 * the operation's; with "output." before it, any is the output's.
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
    const bare = name.startsWith(outputPrefix) ? name.slice(outputPrefix.length) : name;
    const outputPart = OutputSchema.fields.find((field) => field.name === bare);
    if (part !== undefined) operation[name] = toJsonValue(part, name, text);
    else if (outputPart !== undefined) output[bare] = toJsonValue(outputPart, name, text);
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

const outputPrefix = 'output.';

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

function toJsonValue(field: DescField, name: string, text: string): JsonValue {
  const trimmed = text.trim();
  switch (field.fieldKind) {
    case 'enum':
      return enumName(field, name, trimmed);
    case 'list':
      return trimmed.split(',').map((item) => listItem(field, name, item.trim()));
    case 'scalar':
      return scalar(field.scalar, name, trimmed);
    case 'message':
    case 'map':
      throw invalidField(name, 'cannot be given in a form');
    default:
      return field satisfies never;
  }
}

/** Lists are written with commas. */
function listItem(field: DescField & { readonly fieldKind: 'list' }, name: string, text: string): JsonValue {
  return field.listKind === 'scalar' ? scalar(field.scalar, name, text) : enumName(field, name, text);
}

/** "cover" for FIT_COVER, "420" for CHROMA_SUBSAMPLING_420, "jpg" for FORMAT_JPEG; the full name does too. */
function enumName(field: DescField, name: string, text: string): string {
  if (field.enum === undefined) throw invalidField(name, 'cannot be given in a form');
  const wanted = text.toUpperCase().replaceAll('-', '_').replace(/^JPG$/, 'JPEG');
  const prefix = field.enum.values.find(({ number }) => number === 0)?.name.replace(/UNSPECIFIED$/, '') ?? '';
  const values = field.enum.values
    .filter(({ number }) => number !== 0)
    .map((value) => ({ full: value.name, short: value.name.replace(prefix, '') }));
  const found = values.find(({ full, short }) => full === wanted || short === wanted);
  if (found !== undefined) return found.full;
  throw invalidField(name, `must be one of ${values.map(({ short }) => short.toLowerCase()).join(', ')}`);
}

function scalar(type: ScalarType, name: string, text: string): JsonValue {
  switch (type) {
    case ScalarType.BOOL: {
      if (/^(true|1|on|yes)$/i.test(text)) return true;
      if (/^(false|0|off|no)$/i.test(text)) return false;
      throw invalidField(name, 'must be true or false');
    }
    case ScalarType.STRING:
      return text;
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT: {
      const number = Number(text);
      if (!Number.isFinite(number)) throw invalidField(name, 'must be a number');
      return number;
    }
    default: {
      if (!/^[+-]?\d{1,9}$/.test(text)) throw invalidField(name, 'must be a whole number');
      return Number(text);
    }
  }
}

function knownFields(fields: readonly DescField[], kind: FormKind): string {
  const own = [...ownFields].filter((name) => name !== 'filter' || kind === 'filter');
  return [...own, ...[...fields, ...OutputSchema.fields].map(({ name }) => name)].join(', ');
}
