/**
 * A form as a request for a job: the fields of POST /resize, /crop and /filter are those of the operation's message
 * and of Output, by their names in the proto files. What the API gains there, the forms gain. A name that both have is
 * the operation's; with "output." before it, any is the output's. `preset` has its steps follow, or stand alone.
 */
import { create, type DescField, fromJson, getOption, type JsonObject } from '@bufbuild/protobuf';
import {
  type CreateJobRequest,
  CreateJobRequestSchema,
  type Operation,
  OperationSchema,
  OutputSchema,
  operation as operationOptions,
  WorkerKind,
} from '@imagemesh/api';
import { invalidField, type MeshError, validateMessage } from '@imagemesh/rpc';
import { readFieldText } from '../syntax/field-text.ts';
import { mergeOutput } from '../syntax/merge-output.ts';
import type { FindPreset, ParsedOperations } from '../syntax/parse-operations.ts';

export type FormKind = 'resize' | 'crop' | 'filter';

/** Fields that are not the operation's or the output's. */
const ownFields: ReadonlySet<string> = new Set(['image', 'filter', 'preset', 'request_id', 'webhook_url']);

/** INVALID_REQUEST that names the field. Empty fields count as not given, as browsers send them. */
export function formToJob(
  kind: FormKind,
  fields: ReadonlyMap<string, string>,
  findPreset: FindPreset = () => undefined,
): CreateJobRequest {
  const given = new Map([...fields].filter(([, value]) => value.trim() !== ''));
  const imageId = given.get('image');
  if (imageId === undefined) throw invalidField('image', 'must be the id of an uploaded image');
  if (!/^[0-9a-f]{64}$/.test(imageId)) {
    throw invalidField(
      'image',
      'must be an image id, 64 lower-case hexadecimal digits, as POST /upload answers',
    );
  }
  const preset = readPreset(given.get('preset'), findPreset);
  const member = operationOf(kind, given.get('filter'), preset !== undefined);
  const operation: JsonObject = {};
  const output: JsonObject = {};
  for (const [name, text] of given) {
    const part = member?.message.fields.find((field) => field.name === name);
    const bare = name.startsWith(outputPrefix) ? name.slice(outputPrefix.length) : name;
    const outputPart = OutputSchema.fields.find((field) => field.name === bare);
    if (part !== undefined) operation[name] = readFieldText(part, name, text);
    else if (outputPart !== undefined) output[bare] = readFieldText(outputPart, name, text);
    else if (!ownFields.has(name) || (name === 'filter' && kind !== 'filter')) {
      throw invalidField(name, `is not known; known are ${knownFields(member?.message.fields ?? [], kind)}`);
    }
  }
  const isBare = kind !== 'filter' && Object.keys(operation).length === 0;
  // As an operation in a pipeline it keeps all there is; a form that says nothing of what to cut out was meant otherwise.
  if (isBare && kind === 'crop' && preset === undefined) throw cropMissing(member?.message.fields ?? []);
  // Of a preset alone, nothing goes before it.
  const isAlone = preset !== undefined && isBare;
  const own = member === undefined || isAlone ? [] : [readOperation(member, operation)];
  const request = create(CreateJobRequestSchema, {
    requestId: given.get('request_id') ?? '',
    webhookUrl: given.get('webhook_url') ?? '',
    source: { source: { case: 'imageId', value: imageId } },
    variants: [
      {
        operations: [...own, ...(preset?.operations ?? [])],
        output: mergeOutput(preset?.output, fromJson(OutputSchema, output)),
      },
    ],
  });
  validateMessage(CreateJobRequestSchema, request);
  return request;
}

function cropMissing(fields: readonly DescField[]): MeshError {
  const names = fields.map(({ name }) => name).join(', ');
  return invalidField('width', `what to cut out must be given: one of ${names}`);
}

const outputPrefix = 'output.';

function readPreset(name: string | undefined, findPreset: FindPreset): ParsedOperations | undefined {
  if (name === undefined) return undefined;
  const preset = findPreset(name);
  if (preset === undefined) throw invalidField('preset', 'is no preset of this mesh');
  return preset;
}

function readOperation(member: MessageField, json: JsonObject): Operation {
  const message = fromJson(member.message, json);
  validateMessage(member.message, message);
  // A parse boundary: the member and its message belong together, which the types cannot say.
  const operation = { case: member.localName, value: message } as unknown as Operation['operation'];
  return create(OperationSchema, { operation });
}

type MessageField = DescField & { readonly fieldKind: 'message' };

/** Undefined where a preset stands for it. */
function operationOf(
  kind: FormKind,
  filter: string | undefined,
  hasPreset: boolean,
): MessageField | undefined {
  if (kind === 'filter' && filter === undefined && hasPreset) return undefined;
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

function knownFields(fields: readonly DescField[], kind: FormKind): string {
  const own = [...ownFields].filter((name) => name !== 'filter' || kind === 'filter');
  const names = fields.map(({ name }) => name);
  const ofOutput = OutputSchema.fields.map(({ name }) => (names.includes(name) ? outputPrefix + name : name));
  return [...own, ...names, ...ofOutput].join(', ');
}
