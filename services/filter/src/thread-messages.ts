/** What passes between the event loop and a filter thread: one request, then its reply, never two at a time. */
import type {
  ColorPolicy,
  EncodingReport,
  FaceSearch,
  ImageInfo,
  MetadataPolicy,
  Operation,
  Output,
  PixelContent,
} from '@imagemesh/api';
import type { CodedFormat, ImageLimits, Rect, Source } from '@imagemesh/image';
import { type ErrorReason, type FieldViolation, MeshError } from '@imagemesh/rpc';

export type ThreadRequest =
  /** Decode the source and do the operations; the thread keeps the result for `format`. */
  | {
      readonly kind: 'process';
      readonly source: Source;
      readonly operations: readonly Operation[];
      readonly metadata: MetadataPolicy;
      readonly color: ColorPolicy;
      readonly limits: ImageLimits;
      readonly timeoutMs: number;
    }
  /** Encode what the thread keeps, or, without `output`, hand its pixels out; the thread keeps nothing then. */
  | {
      readonly kind: 'format';
      readonly output: Output | undefined;
      readonly alternative: CodedFormat | undefined;
      readonly limits: ImageLimits;
      readonly timeoutMs: number;
    }
  /** Look for faces in the still image that the thread keeps; it keeps nothing then. */
  | { readonly kind: 'findFaces'; readonly search: FaceSearch }
  /** Forget what is kept. */
  | { readonly kind: 'drop' };

export type ThreadReply =
  /** OpenCV is loaded and warm; sent once, unasked. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'processed' }
  | {
      readonly kind: 'encoded';
      readonly bytes: Uint8Array;
      readonly info: ImageInfo;
      readonly encoding: EncodingReport;
    }
  | { readonly kind: 'pixels'; readonly bytes: Uint8Array; readonly content: PixelContent }
  | { readonly kind: 'faces'; readonly faces: readonly Rect[] }
  | { readonly kind: 'dropped' }
  /** `isBroken`: the thread's OpenCV cannot be trusted any more, or its heap is full. */
  | { readonly kind: 'failed'; readonly error: ThreadError; readonly isBroken: boolean };

/** A reply as it travels: with what the pool wants to know of the thread. */
export interface ThreadEnvelope {
  readonly reply: ThreadReply;
  /** Size of the wasm heap, which never shrinks. */
  readonly heapBytes: number;
}

/** What a thread is started with. */
export interface ThreadData {
  /** One Int32 shared with the pool: not 0 once the request at work is no longer wanted. */
  readonly cancelFlag: SharedArrayBuffer;
}

/** A MeshError in a form that structured cloning keeps whole. */
export interface ThreadError {
  readonly reason: ErrorReason;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly FieldViolation[];
  readonly cause: unknown;
}

export function packError(error: MeshError): ThreadError {
  const { reason, message, metadata, violations, cause } = error;
  return {
    reason,
    message,
    metadata,
    violations,
    cause: cause instanceof Error ? cause : String(cause ?? ''),
  };
}

export function unpackError({ reason, message, metadata, violations, cause }: ThreadError): MeshError {
  return new MeshError(reason, message, { metadata, violations, cause });
}

/** What to transfer so that `bytes` moves instead of being copied: its buffer, if the view is all of it. */
export function transferOf(bytes: Uint8Array): ArrayBuffer[] {
  const { buffer, byteOffset, byteLength } = bytes;
  const isWhole = byteOffset === 0 && buffer.byteLength === byteLength;
  return isWhole && buffer instanceof ArrayBuffer ? [buffer] : [];
}
