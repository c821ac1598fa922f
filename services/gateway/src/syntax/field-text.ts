/** Values of fields as people write them in forms and URLs, and back. Made of the descriptors alone. */
import { type DescField, type JsonValue, ScalarType } from '@bufbuild/protobuf';
import { invalidField } from '@imagemesh/rpc';

/** The value as the JSON of the field; INVALID_REQUEST that names it. Lists are written with `separator`. */
export function readFieldText(field: DescField, name: string, text: string, separator = ','): JsonValue {
  const trimmed = text.trim();
  switch (field.fieldKind) {
    case 'enum':
      return enumName(field, name, trimmed);
    case 'list':
      return trimmed.split(separator).map((item) => listItem(field, name, item.trim()));
    case 'scalar':
      return scalar(field.scalar, name, trimmed);
    case 'message':
    case 'map':
      throw invalidField(name, 'cannot be given in a form');
    default:
      return field satisfies never;
  }
}

function listItem(field: DescField & { readonly fieldKind: 'list' }, name: string, text: string): JsonValue {
  return field.listKind === 'scalar' ? scalar(field.scalar, name, text) : enumName(field, name, text);
}

/** "cover" for FIT_COVER, "420" for CHROMA_SUBSAMPLING_420, "jpg" for FORMAT_JPEG; the full name does too. */
function enumName(field: DescField, name: string, text: string): string {
  if (field.enum === undefined) throw invalidField(name, 'cannot be given in a form');
  const wanted = text.toUpperCase().replaceAll('-', '_').replace(/^JPG$/, 'JPEG');
  const prefix = prefixOf(field);
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
      if (text === '' || !Number.isFinite(number)) throw invalidField(name, 'must be a number');
      return number;
    }
    default: {
      if (!/^[+-]?\d{1,9}$/.test(text)) throw invalidField(name, 'must be a whole number');
      return Number(text);
    }
  }
}

/** The shortest text that reads back as the value, which is one that the field can have. */
export function writeFieldText(field: DescField, value: unknown, separator = ','): string {
  if (Array.isArray(value)) return value.map((item) => writeItem(field, item)).join(separator);
  return writeItem(field, value);
}

function writeItem(field: DescField, value: unknown): string {
  if (field.enum === undefined) return String(value);
  const found = field.enum.values.find(({ number }) => number === value);
  return (found?.name.replace(prefixOf(field), '') ?? '').toLowerCase();
}

/** "FIT_" of FIT_UNSPECIFIED. */
function prefixOf(field: DescField): string {
  return field.enum?.values.find(({ number }) => number === 0)?.name.replace(/UNSPECIFIED$/, '') ?? '';
}
