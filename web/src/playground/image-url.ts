/** The result as an address that <img> can show: GET /i/{signature}/{operations}/{id}.{ext}. Pure. */
import { clone } from '@bufbuild/protobuf';
import { Format, ImageUrls, type Operation, type Output, OutputSchema } from '@imagemesh/api';
import { formatNames } from '../mesh/names.ts';
import { opsText } from './ops-text.ts';

export interface ImageUrlCall {
  readonly origin: string;
  readonly imageId: string;
  readonly operations: readonly Operation[];
  readonly output: Output;
  /** What the page got: gives the extension where the output keeps the source's format. */
  readonly result: { readonly format: Format; readonly width: number; readonly height: number };
  readonly imageUrls: ImageUrls;
  /** Whether the image belongs to an API key: then only a signature shows it. */
  readonly hasKey: boolean;
}

export type ImageUrl =
  /** As HTML; `sign` is the command that prints the address with its signature, where one is wanted. */
  | { readonly kind: 'html'; readonly html: string; readonly sign: string | undefined }
  | { readonly kind: 'none'; readonly why: string };

/** Stands where the signature goes. */
const SIGNATURE = 'SIGNATURE';

export function imageUrl(call: ImageUrlCall): ImageUrl {
  const { imageUrls, hasKey, origin, result } = call;
  if (imageUrls === ImageUrls.NONE || imageUrls === ImageUrls.UNSPECIFIED) {
    return { kind: 'none', why: 'This gateway has no key to check signatures with (SIGNING_KEYS_FILE).' };
  }
  const { imageId, operations, output } = call;
  const format = output.format === Format.AUTO ? 'auto' : formatNames(result.format).extension;
  // The extension says the format.
  const rest = Object.assign(clone(OutputSchema, output), { format: Format.UNSPECIFIED });
  const ops = opsText(operations, rest);
  if (ops === undefined) return { kind: 'none', why: 'This pipeline is too long for an address.' };
  const isUnsafe = imageUrls === ImageUrls.UNSAFE && !hasKey;
  const src = `${origin}/i/${isUnsafe ? 'unsafe' : SIGNATURE}${ops === '' ? '' : `/${ops}`}/${imageId}.${format}`;
  // No text of the syntax has an apostrophe: it is percent-encoded.
  const sign = `npm run -s sign -- ${imageId}${ops === '' ? '' : ` '${ops}'`} --format ${format} --base ${origin}`;
  const html = `<img src="${src}" width="${result.width}" height="${result.height}" alt="">`;
  return { kind: 'html', html, sign: isUnsafe ? undefined : sign };
}
