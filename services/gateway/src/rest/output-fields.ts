/** How a result is encoded, as the parameters of a URL say: the fields of Output by their names, beside `ops`. */
import { clone, fromJson, type JsonObject } from '@bufbuild/protobuf';
import { Format, type Output, OutputSchema } from '@imagemesh/api';
import { invalidField, validateMessage } from '@imagemesh/rpc';
import { readFieldText } from '../syntax/field-text.ts';
import { acceptedFormats } from './accept.ts';

/** INVALID_REQUEST that names the parameter. Empty ones count as not given. */
export function readOutputFields(fields: Iterable<readonly [string, string]>): Output | undefined {
  const output: JsonObject = Object.create(null);
  for (const [name, text] of fields) {
    if (text.trim() === '') continue;
    const field = OutputSchema.fields.find((candidate) => candidate.name === name);
    if (field === undefined) {
      const known = ['ops', ...OutputSchema.fields.map((candidate) => candidate.name)].join(', ');
      throw invalidField(name, `is not known; known are ${known}`);
    }
    output[name] = readFieldText(field, name, text);
  }
  if (Object.keys(output).length === 0) return undefined;
  const message = fromJson(OutputSchema, output);
  validateMessage(OutputSchema, message);
  return message;
}

/** With FORMAT_AUTO resolved to what the client takes, unless the request names that itself. */
export function withAccepted(output: Output, accept: string | undefined): Output {
  if (output.format !== Format.AUTO || output.accept.length > 0) return output;
  return Object.assign(clone(OutputSchema, output), { accept: [...acceptedFormats(accept)] });
}
