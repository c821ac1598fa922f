/** What an image's header says, and sizes. */
import { create } from '@bufbuild/protobuf';
import { type ImageInfo, ImageInfoSchema } from '@imagemesh/api';
import type { CodedFormat } from './formats.ts';

/** A size in px. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** What a header says; width and height are as stored, before the EXIF orientation. */
export interface ImageHeader extends Size {
  readonly format: CodedFormat;
  /** EXIF orientation 1 to 8; 1 where the file has none, and for AVIF, whose own transforms are in width and height. */
  readonly orientation: number;
  /** 1 grey, 2 grey and alpha, 3 colour, 4 colour and alpha (JPEG: CMYK); 0 where the header does not tell. */
  readonly channels: number;
  /** Bits a sample; 0 where the header does not tell. */
  readonly bitDepth: number;
  readonly hasAlpha: boolean;
  /** Frames; 2 stands for "animated, number not in the header". */
  readonly frames: number;
}

/** The size of the image once it is upright. */
export function uprightSize({ width, height, orientation }: Size & { readonly orientation: number }): Size {
  return orientation >= 5 ? { width: height, height: width } : { width, height };
}

/** The header as the API's message. */
export function toImageInfo(header: ImageHeader, sizeBytes: number): ImageInfo {
  const { format, width, height, orientation, channels, bitDepth, hasAlpha, frames } = header;
  const sizes = { format, width, height, sizeBytes: BigInt(sizeBytes), orientation };
  return create(ImageInfoSchema, { ...sizes, channels, bitDepth, hasAlpha, frames });
}
