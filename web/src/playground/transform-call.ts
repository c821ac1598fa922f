/** One transform: Transform, and Render where the result is too large for one message, as browsers cannot stream requests. */
import { create } from '@bufbuild/protobuf';
import {
  type ImageInfo,
  type ImageSource,
  ImageSourceSchema,
  type Operation,
  type Output,
  type TransformReport,
} from '@imagemesh/api';
import type { Clients } from '../mesh/clients.ts';
import { toFailure } from '../mesh/failure.ts';
import type { Source } from './source.ts';

export interface Transformed {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly info: ImageInfo;
  readonly report: TransformReport | undefined;
  /** From the call to the last byte of the result, in ms. */
  readonly roundTripMs: number;
}

/** Sources whose results have been, or are likely to be, too large for Transform: they are made by Render at once. */
const large = new WeakSet<Uint8Array>();
/** Bytes of a source from which on it is. */
const likelyLargeBytes = 4_000_000;

export async function transform(
  { images }: Clients,
  request: { source: Source; operations: Operation[]; output: Output },
  signal: AbortSignal,
): Promise<Transformed> {
  const { operations, output } = request;
  const source = toImageSource(request.source);
  const startedMs = performance.now();
  const took = () => performance.now() - startedMs;
  const { bytes: sourceBytes } = request.source;
  const isSmall = sourceBytes.length < likelyLargeBytes && !large.has(sourceBytes);
  // A size in bytes is kept to by Transform alone.
  if (isSmall || output.targetBytes !== undefined) {
    try {
      const { data, info, report } = await images.transform({ source, operations, output }, { signal });
      if (info === undefined) throw new Error('the reply does not describe the result');
      return { bytes: owned(data), info, report, roundTripMs: took() };
    } catch (error) {
      if (toFailure(error).reason !== 'RESULT_TOO_LARGE' || output.targetBytes !== undefined) throw error;
      large.add(sourceBytes);
    }
  }
  let header: { info?: ImageInfo | undefined; report?: TransformReport | undefined } = {};
  const chunks: Uint8Array[] = [];
  const variants = [{ name: 'result', operations, output }];
  for await (const { message } of images.render({ source, variants }, { signal })) {
    if (message.case === 'header') header = message.value;
    else if (message.case === 'chunk') chunks.push(message.value);
  }
  if (header.info === undefined) throw new Error('the reply does not describe the result');
  const bytes = new Uint8Array(await new Blob(chunks.map(owned)).arrayBuffer());
  return { bytes, info: header.info, report: header.report, roundTripMs: took() };
}

/** By reference where the mesh holds it already. */
export function toImageSource({ imageId, bytes }: Source): ImageSource {
  return create(ImageSourceSchema, {
    source: imageId === undefined ? { case: 'data', value: bytes } : { case: 'imageId', value: imageId },
  });
}

/** Blobs take bytes of plain buffers only; a copy is made of none that comes from the network. */
function owned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes);
}
