/** The image formats of the mesh and their names elsewhere. */
import { Format } from '@imagemesh/api';

export interface FormatNames {
  /** As people say it: "JPEG". */
  readonly name: string;
  /** Media type (IANA). */
  readonly mime: string;
  /** File extension, without the dot. */
  readonly extension: string;
  /** Largest side that the format can hold, in px. */
  readonly maxSide: number;
  /** Whether pixels can be transparent. */
  readonly hasAlpha: boolean;
  /** Whether animations are read and written. */
  readonly canAnimate: boolean;
  /** Whether fewer bytes can be had for a lower quality. */
  readonly hasQuality: boolean;
}

/** A format that is read and written. */
export type CodedFormat =
  | typeof Format.JPEG
  | typeof Format.PNG
  | typeof Format.WEBP
  | typeof Format.AVIF
  | typeof Format.GIF
  | typeof Format.TIFF;

const names: Readonly<Record<CodedFormat, FormatNames>> = {
  [Format.JPEG]: {
    name: 'JPEG',
    mime: 'image/jpeg',
    extension: 'jpg',
    maxSide: 65535,
    hasAlpha: false,
    canAnimate: false,
    hasQuality: true,
  },
  [Format.PNG]: {
    name: 'PNG',
    mime: 'image/png',
    extension: 'png',
    maxSide: 65535,
    hasAlpha: true,
    canAnimate: false,
    hasQuality: false,
  },
  [Format.WEBP]: {
    name: 'WebP',
    mime: 'image/webp',
    extension: 'webp',
    maxSide: 16383,
    hasAlpha: true,
    canAnimate: true,
    hasQuality: true,
  },
  [Format.AVIF]: {
    name: 'AVIF',
    mime: 'image/avif',
    extension: 'avif',
    maxSide: 16384,
    hasAlpha: true,
    canAnimate: false,
    hasQuality: true,
  },
  [Format.GIF]: {
    name: 'GIF',
    mime: 'image/gif',
    extension: 'gif',
    maxSide: 65535,
    hasAlpha: true,
    canAnimate: true,
    hasQuality: false,
  },
  [Format.TIFF]: {
    name: 'TIFF',
    mime: 'image/tiff',
    extension: 'tiff',
    maxSide: 65535,
    hasAlpha: true,
    canAnimate: false,
    hasQuality: false,
  },
};

export function isCodedFormat(format: Format): format is CodedFormat {
  return Object.hasOwn(names, format);
}

export function formatNames(format: CodedFormat): FormatNames {
  return names[format];
}

/** The format of a media type (parameters ignored), if the mesh knows it. */
export function formatOfMime(mime: string): CodedFormat | undefined {
  const bare = mime.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  return codedFormats.find((format) => names[format].mime === (bare === 'image/jpg' ? 'image/jpeg' : bare));
}

const aliases: Readonly<Record<string, string>> = { jpeg: 'jpg', tif: 'tiff' };

/** The format of a file extension without the dot, if the mesh knows it. */
export function formatOfExtension(extension: string): CodedFormat | undefined {
  const lower = extension.toLowerCase();
  return codedFormats.find((format) => names[format].extension === (aliases[lower] ?? lower));
}

export const codedFormats: readonly CodedFormat[] = [
  Format.JPEG,
  Format.PNG,
  Format.WEBP,
  Format.AVIF,
  Format.GIF,
  Format.TIFF,
];

/** "JPEG, PNG, WebP, AVIF, GIF and TIFF", or those of them that pass. */
export function formatList(isListed: (names: FormatNames) => boolean = () => true): string {
  const listed = codedFormats.map(formatNames).filter(isListed);
  const last = listed.at(-1)?.name ?? '';
  return listed.length < 2
    ? last
    : `${listed
        .slice(0, -1)
        .map(({ name }) => name)
        .join(', ')} and ${last}`;
}
