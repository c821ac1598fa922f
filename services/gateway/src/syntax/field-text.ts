/** Values of fields as people write them in forms and URLs; @imagemesh/api writes them. Made of the descriptors alone. */
import { type DescField, type JsonValue, ScalarType } from '@bufbuild/protobuf';
import { syntax } from '@imagemesh/api';
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
  const prefix = syntax.enumPrefix(field);
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
