/** Reads a small form: urlencoded, multipart with files, or a flat JSON object. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { invalidField, MeshError } from '@imagemesh/rpc';
import busboy from 'busboy';
import type { HttpRequest } from './route.ts';

/** Takes a file of the form while it arrives; what it answers becomes the field's value. */
export type TakeFile = (bytes: AsyncIterable<Uint8Array>, filename: string | undefined) => Promise<string>;

const maxFields = 64;
const maxFieldBytes = 4096;
const maxJsonBytes = 64 * 1024;
export const maxFilenameChars = 255;

/** The fields by name. A file is taken in the field `image` only, once; others are an error. */
export async function readForm(
  request: HttpRequest,
  signal: AbortSignal,
  takeFile: TakeFile,
): Promise<Map<string, string>> {
  const type = mediaType(request);
  switch (type) {
    case 'multipart/form-data':
      return readMultipart(request, signal, takeFile);
    case 'application/x-www-form-urlencoded':
      return new Map(new URLSearchParams(await readText(request, signal)));
    case 'application/json':
      return readJson(await readText(request, signal));
    case undefined:
      return new Map();
    default:
      throw new MeshError(
        'INVALID_REQUEST',
        `content-type ${type} is not a form; send multipart/form-data, application/x-www-form-urlencoded or application/json`,
      );
  }
}

/** The content type without parameters; undefined if there is none. */
export function mediaType(request: HttpRequest): string | undefined {
  const type = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
  return type === '' ? undefined : type?.slice(0, 100);
}

async function readMultipart(
  request: HttpRequest,
  signal: AbortSignal,
  takeFile: TakeFile,
): Promise<Map<string, string>> {
  const fields = new Map<string, string>();
  const parser = openParser(request);
  /** Settles with the one file; a failure ends the whole request at once. */
  let taking: Promise<void> | undefined;
  let failure: unknown;
  const fail = (error: unknown) => {
    failure ??= error;
    parser.destroy();
  };
  parser.on('field', (name, value, { valueTruncated, nameTruncated }) => {
    if (valueTruncated || nameTruncated) fail(invalidField(name, `is longer than ${maxFieldBytes} bytes`));
    else fields.set(name, value);
  });
  parser.on('file', (name, file, { filename }) => {
    // Its bytes end early when the request does; whoever reads it is told.
    file.on('error', () => {});
    if (name !== 'image' || taking !== undefined) {
      file.resume();
      fail(invalidField(name, taking === undefined ? 'is a file; only image may be one' : 'is given twice'));
      return;
    }
    const bytes: AsyncIterable<Uint8Array> = Readable.prototype.iterator.call(file);
    taking = takeFile(bytes, filename?.slice(0, maxFilenameChars)).then(
      (value) => void fields.set(name, value),
    );
    taking.catch(fail);
  });
  for (const event of ['fieldsLimit', 'filesLimit', 'partsLimit'] as const) {
    parser.on(event, () =>
      fail(new MeshError('INVALID_REQUEST', `a form may have ${maxFields} fields and one file`)),
    );
  }
  try {
    await pipeline(request, parser, { signal });
    await taking;
  } catch (error) {
    await taking?.catch(() => {});
    if (failure !== undefined) throw failure;
    signal.throwIfAborted();
    throw new MeshError('INVALID_REQUEST', 'the multipart body is damaged or incomplete', { cause: error });
  }
  return fields;
}

function openParser(request: HttpRequest): busboy.Busboy {
  try {
    return busboy({
      headers: request.headers,
      defParamCharset: 'utf8',
      limits: {
        fieldNameSize: 100,
        fieldSize: maxFieldBytes,
        fields: maxFields,
        files: 2,
        parts: maxFields + 2,
      },
    });
  } catch (cause) {
    throw new MeshError('INVALID_REQUEST', 'the content-type names no multipart boundary', { cause });
  }
}

async function readText(request: HttpRequest, signal: AbortSignal): Promise<string> {
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  // Leaving the loop early destroys the request: the reply goes first.
  for await (const part of request.iterator({ destroyOnReturn: false })) {
    signal.throwIfAborted();
    sizeBytes += part.length;
    if (sizeBytes > maxJsonBytes) {
      throw new MeshError('BODY_TOO_LARGE', `a form may have ${maxJsonBytes} bytes`, {
        metadata: { limit: String(maxJsonBytes) },
      });
    }
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function readJson(text: string): Map<string, string> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new MeshError('INVALID_REQUEST', 'the body is not valid JSON', { cause });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new MeshError('INVALID_REQUEST', 'the body must be a JSON object');
  }
  const fields = new Map<string, string>();
  for (const [name, value] of Object.entries(parsed)) {
    const items: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (!items.every(isScalar)) {
      throw invalidField(name, 'must be a string, a number, a boolean, or a list of those');
    }
    // As in other forms, where lists are written with commas.
    fields.set(name, items.join(','));
  }
  return fields;
}

function isScalar(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}
