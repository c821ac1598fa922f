/** Formats that are recognised, to be refused by name. */
import type { HeadReader } from './reader.ts';

/** Leading bytes (latin1) at an offset. */
const signatures: readonly { readonly name: string; readonly at: number; readonly bytes: string }[] = [
  { name: 'BigTIFF', at: 0, bytes: 'II+\0' },
  { name: 'BigTIFF', at: 0, bytes: 'MM\0+' },
  { name: 'PDF', at: 0, bytes: '%PDF-' },
  { name: 'JPEG XL', at: 0, bytes: '\xff\x0a' },
  { name: 'JPEG XL', at: 4, bytes: 'JXL \r\n\x87\n' },
  { name: 'JPEG 2000', at: 4, bytes: 'jP  \r\n\x87\n' },
  { name: 'JPEG 2000', at: 0, bytes: '\xff\x4f\xff\x51' },
  { name: 'JPEG XR', at: 0, bytes: 'II\xbc\x01' },
  { name: 'Photoshop', at: 0, bytes: '8BPS' },
  { name: 'OpenEXR', at: 0, bytes: '\x76\x2f\x31\x01' },
  { name: 'Radiance HDR', at: 0, bytes: '#?RADIANCE' },
  { name: 'ICO', at: 0, bytes: '\0\0\x01\0' },
  { name: 'QOI', at: 0, bytes: 'qoif' },
];

/** The name of a known format that is not read. Looks at no more than 1 KiB. */
export function foreignFormat(reader: HeadReader): string | undefined {
  const start = new TextDecoder('latin1').decode(reader.bytes(0, Math.min(reader.length, 1024)));
  const signed = signatures.find(({ at, bytes }) => start.startsWith(bytes, at));
  if (signed !== undefined) return signed.name;
  if (start.startsWith('BM') && reader.length >= 26 && reader.u32(6, true) === 0) return 'BMP';
  if (/^P[1-7][ \t\r\n#]/.test(start)) return 'Netpbm';
  if (/^(\xef\xbb\xbf)?\s*(<\?xml|<!--|<!DOCTYPE svg|<svg)/i.test(start) && /<svg[\s>]/i.test(start))
    return 'SVG';
  return undefined;
}
