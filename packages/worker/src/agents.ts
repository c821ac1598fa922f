/**
 * The sub-agents of a replica. A call passes through five steps (`pipeline.ts`):
 *
 *   validate (the spec) → load (the source's bytes; header, limits and sizes checked) → process → format → save
 *
 * `validate`, `process` and `format` are each service's own, in files of those names; loading and saving is the
 * skeleton's. What reaches `process` is therefore whole, within the limits, and an image by its header.
 */
import type {
  ColorPolicy,
  EncodingReport,
  FaceList,
  FaceSearch,
  ImageAnalysis,
  ImageInfo,
  MetadataPolicy,
  Operation,
  Output,
  PixelContent,
} from '@imagemesh/api';
import type { CodedFormat, EncodedSource, ImageLimits, Size, Source } from '@imagemesh/image';
import type { Logger } from '@imagemesh/observe';

/** What one call wants of the agents. */
export interface Work {
  /** The bytes and what they are. */
  readonly source: Source;
  /** The steps, in order; every one is in the replica's list of operations. */
  readonly operations: readonly Operation[];
  /**
   * Size of the image before the first step (upright) and after each: `sizes.length === operations.length + 1`. From a
   * trim or a crop_to_faces on, the largest that it can be.
   */
  readonly sizes: readonly Size[];
  /** What of the source's colours is kept; SRGB or KEEP. */
  readonly color: ColorPolicy;
  readonly result: WorkResult;
}

/** What the result is to be. */
export type WorkResult =
  /** An encoded image; `output.format` is a coded one. With an alternative, the format of the two that takes fewer bytes. */
  | { readonly kind: 'encoded'; readonly output: Output; readonly alternative?: CodedFormat }
  /** Pixels for the next stage, with the metadata that the policy lets through. */
  | { readonly kind: 'pixels'; readonly metadata: MetadataPolicy }
  /** Measurements of the pixels. */
  | { readonly kind: 'analysis' }
  /** Where faces are. */
  | { readonly kind: 'faces'; readonly search: FaceSearch };

/** The call that the work is for. */
export interface WorkCall {
  readonly requestId: string;
  /** Aborted when nobody waits any more, with a MeshError (CANCELLED or DEADLINE_EXCEEDED) as reason. */
  readonly signal: AbortSignal;
  /** What is left until the deadline, in ms; at least 1. Ask anew before each long step. */
  remainingMs(): number;
  readonly limits: ImageLimits;
  readonly log: Logger;
  /** Another stored image that an operation names, within the limits and still. BLOB_NOT_FOUND. */
  loadImage(imageId: string): Promise<EncodedSource>;
}

/** A result, ready to be sent or stored. */
export interface Formatted {
  readonly bytes: Uint8Array;
  readonly content:
    | { readonly case: 'encoded'; readonly value: ImageInfo }
    | { readonly case: 'pixels'; readonly value: PixelContent }
    | { readonly case: 'analysis'; readonly value: ImageAnalysis }
    | { readonly case: 'faces'; readonly value: FaceList };
  /** How an encoded image was encoded. */
  readonly encoding?: EncodingReport;
  /** Gives the bytes' memory back; called once they are sent or stored. */
  readonly release?: () => void;
}

/**
 * What a service does. `Picture` is its state between processing and formatting.
 *
 * A promise returned here settles only when the work has really ended (also after an abort): the replica's slot is
 * free from then on. Errors are MeshErrors; anything else is answered as INTERNAL.
 */
export interface Agents<Picture> {
  /** Refuses what this service will not do. Runs once the source's header is known, before anything is decoded. */
  validate(work: Work): void;
  process(work: Work, call: WorkCall): Promise<Picture>;
  format(picture: Picture, work: Work, call: WorkCall): Promise<Formatted>;
}
