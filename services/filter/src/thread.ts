/**
 * The entry of a filter thread: decode → Mat → kernels, then encode.
 *
 * The thread decodes and encodes itself (sharp works on libuv's pool either way): pixels enter the heap in one copy
 * and are encoded from a view of it, without one. JPEG to JPEG takes 33 CPU-ms at 2 MP where codec work on the event
 * loop's side takes 39, and 181 instead of 248 at 12 MP (bench/filter-data-path.ts). Nothing else may touch the heap
 * while the encoder reads it: growing detaches the view.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { FaceSearch, Operation } from '@imagemesh/api';
import { frameOf, joinFrames, type Metadata, type Pixels } from '@imagemesh/image';
import { configureSharp, decode, encode, pixelContent, readMetadata } from '@imagemesh/image/codec';
import { MeshError, toMeshError } from '@imagemesh/rpc';
import { findFaces } from './faces.ts';
import { applyOperations } from './kernels/index.ts';
import { withMats } from './mat-scope.ts';
import { loadOpencv, type Mat, type OpenCv, opencvFailure } from './opencv.ts';
import { cropToMat } from './pixels-to-mat.ts';
import type { ThreadData, ThreadEnvelope, ThreadReply, ThreadRequest } from './thread-messages.ts';
import { packError, transferOf } from './thread-messages.ts';
import { warmUp } from './warm-up.ts';

/** What is to be encoded: a still image in the heap, or the frames of an animation outside of it. */
interface Kept {
  readonly mat: Mat | undefined;
  pixels(): Pixels;
  readonly metadata: Metadata;
}

const port = parentPort;
if (port === null) throw new Error('thread.ts is the entry of a worker thread');
// What thread-pool.ts starts threads with.
const { cancelFlag } = workerData as ThreadData;
const isUnwanted = new Int32Array(cancelFlag);

configureSharp();
const cv = await loadOpencv();
warmUp(cv);
let kept: Kept | undefined;

port.on('message', async (request: ThreadRequest) => post(await answer(request)));
post({ kind: 'ready' });

function post(reply: ThreadReply): void {
  const envelope: ThreadEnvelope = { reply, heapBytes: cv.HEAPU8.length };
  port?.postMessage(envelope, 'bytes' in reply ? transferOf(reply.bytes) : []);
}

async function answer(request: ThreadRequest): Promise<ThreadReply> {
  try {
    switch (request.kind) {
      case 'process':
        return await processSource(request);
      case 'format':
        return await format(request);
      case 'findFaces':
        return listFaces(request.search);
      case 'drop':
        drop();
        return { kind: 'dropped' };
      default:
        return unknownRequest(request);
    }
  } catch (error) {
    drop();
    return failed(error);
  }
}

async function processSource(request: Extract<ThreadRequest, { kind: 'process' }>): Promise<ThreadReply> {
  drop();
  const { source, operations, color, limits, timeoutMs } = request;
  const [pixels, metadata] = await Promise.all([
    decode(source, { bitDepth: 8 }, { limits, timeoutMs, color }),
    readMetadata(source, request.metadata),
  ]);
  checkWanted();
  const { animation } = pixels;
  if (animation === undefined) {
    const mat = run(cv, pixels, operations);
    const { iccProfile } = pixels;
    kept = { mat, pixels: () => ({ ...pixelsOf(mat), ...(iccProfile && { iccProfile }) }), metadata };
  } else {
    const frames = animation.delaysMs.map((_, index) => runFrame(cv, frameOf(pixels, index), operations));
    const joined = joinFrames(frames, animation);
    kept = { mat: undefined, pixels: () => joined, metadata };
  }
  return { kind: 'processed' };
}

function run(cv: OpenCv, pixels: Pixels, operations: readonly Operation[]): Mat {
  const { mat, rest } = cropToMat(cv, pixels, operations);
  return applyOperations(cv, mat, rest, checkWanted);
}

/** Copied out of the heap, so that it holds one frame at a time. */
function runFrame(cv: OpenCv, frame: Pixels, operations: readonly Operation[]): Pixels {
  const mat = run(cv, frame, operations);
  const pixels = pixelsOf(mat);
  const copy = { ...pixels, data: pixels.data.slice() };
  mat.delete();
  return copy;
}

/** A view of the heap. */
function pixelsOf(mat: Mat): Pixels {
  return {
    width: mat.cols,
    height: mat.rows,
    channels: mat.channels(),
    bitDepth: 8,
    data: mat.data,
  };
}

async function format(request: Extract<ThreadRequest, { kind: 'format' }>): Promise<ThreadReply> {
  if (kept === undefined) throw new Error('nothing is kept to be formatted');
  checkWanted();
  const { metadata } = kept;
  const pixels = kept.pixels();
  const { limits, timeoutMs, output, alternative } = request;
  if (output === undefined) {
    const bytes = pixels.data.slice();
    const content = pixelContent(pixels, metadata);
    drop();
    return { kind: 'pixels', bytes, content };
  }
  const { bytes, info, encoding } = await encode(pixels, output, metadata, {
    limits,
    timeoutMs,
    alternative,
  });
  drop();
  // Encoded bytes are small beside the pixels; memory that sharp owns does not move to another thread.
  return { kind: 'encoded', bytes: new Uint8Array(bytes), info, encoding };
}

function listFaces(search: FaceSearch): ThreadReply {
  const mat = kept?.mat;
  if (mat === undefined) throw new Error('no still image is kept to be searched');
  checkWanted();
  const faces = withMats(cv, (scope) => findFaces(mat, search, scope, cv));
  drop();
  return { kind: 'faces', faces };
}

function drop(): void {
  const { mat } = kept ?? {};
  kept = undefined;
  mat?.delete();
}

function checkWanted(): void {
  if (Atomics.load(isUnwanted, 0) !== 0) throw new MeshError('CANCELLED', 'the call was cancelled');
}

function failed(error: unknown): ThreadReply {
  if (error instanceof MeshError) return { kind: 'failed', error: packError(error), isBroken: false };
  const failure = opencvFailure(cv, error);
  const isMemory = failure.kind === 'memory';
  const meshError = isMemory
    ? new MeshError('TOO_MANY_PIXELS', 'the image is too large for this filter; resize or crop it first', {
        cause: failure.error,
      })
    : toMeshError(failure.error);
  return { kind: 'failed', error: packError(meshError), isBroken: failure.kind !== 'opencv' };
}

function unknownRequest(request: never): never {
  throw new Error(`unknown request ${JSON.stringify(request)}`);
}
