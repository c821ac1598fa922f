/** Which formats a client takes, by its Accept header (RFC 9110, 12.5.1). */
import { Format } from '@imagemesh/api';
import { type CodedFormat, codedFormats, formatOfMime } from '@imagemesh/image';

/** What "image/*" stands for: what every client shows. Newer formats must be named. */
const everywhere: readonly CodedFormat[] = [Format.JPEG, Format.PNG, Format.GIF];
const maxRanges = 32;

/** In the order of the API; those that every client shows where none is named. */
export function acceptedFormats(header: string | undefined): readonly CodedFormat[] {
  const accepted = new Set<CodedFormat>();
  for (const range of (header ?? '*/*').split(',', maxRanges)) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    if (parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter))) continue;
    if (type === '*/*' || type === 'image/*') for (const format of everywhere) accepted.add(format);
    const named = formatOfMime(type);
    if (named !== undefined) accepted.add(named);
  }
  return accepted.size === 0 ? everywhere : codedFormats.filter((format) => accepted.has(format));
}
