/** Values of fields as people write them in forms and URLs. Made of the descriptors alone. */
import type { DescField } from '@bufbuild/protobuf';

/** The shortest text that reads back as the value, which is one that the field can have. */
export function writeFieldText(field: DescField, value: unknown, separator = ','): string {
  if (Array.isArray(value)) return value.map((item) => writeItem(field, item)).join(separator);
  return writeItem(field, value);
}

function writeItem(field: DescField, value: unknown): string {
  if (field.enum === undefined) return String(value);
  const found = field.enum.values.find(({ number }) => number === value);
  return (found?.name.replace(enumPrefix(field), '') ?? '').toLowerCase();
}

/** What the values of an enum all begin with: "FIT_", of FIT_UNSPECIFIED. Empty for other fields. */
export function enumPrefix(field: DescField): string {
  return field.enum?.values.find(({ number }) => number === 0)?.name.replace(/UNSPECIFIED$/, '') ?? '';
}
