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
}

/** A format that is read and written. */
export type CodedFormat = typeof Format.JPEG | typeof Format.PNG | typeof Format.WEBP | typeof Format.AVIF;

const names: Readonly<Record<CodedFormat, FormatNames>> = {
  [Format.JPEG]: { name: 'JPEG', mime: 'image/jpeg', extension: 'jpg', maxSide: 65535, hasAlpha: false },
  [Format.PNG]: { name: 'PNG', mime: 'image/png', extension: 'png', maxSide: 65535, hasAlpha: true },
  [Format.WEBP]: { name: 'WebP', mime: 'image/webp', extension: 'webp', maxSide: 16383, hasAlpha: true },
  [Format.AVIF]: { name: 'AVIF', mime: 'image/avif', extension: 'avif', maxSide: 16384, hasAlpha: true },
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

/** The format of a file extension without the dot, if the mesh knows it. */
export function formatOfExtension(extension: string): CodedFormat | undefined {
  const lower = extension.toLowerCase();
  return codedFormats.find((format) => names[format].extension === (lower === 'jpeg' ? 'jpg' : lower));
}

export const codedFormats: readonly CodedFormat[] = [Format.JPEG, Format.PNG, Format.WEBP, Format.AVIF];
