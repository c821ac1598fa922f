import { Format, FormatSchema } from '@imagemesh/api';

/** A format as the HTTP side writes it, in forms and in replies: "jpeg"; "" where there is none. */
export function formatName(format: Format = Format.UNSPECIFIED): string {
  return format === Format.UNSPECIFIED ? '' : (FormatSchema.value[format]?.localName.toLowerCase() ?? '');
}
