/** What the mesh tests share: a gRPC call of each kind to the gateway, readable errors, pixels. */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  DownloadImageRequestSchema,
  DownloadImageResponseSchema,
  type Image,
  type TransformHeader,
  type TransformSpecSchema,
  TransformStreamRequestSchema,
  TransformStreamResponseSchema,
  UploadImageRequestSchema,
  UploadImageResponseSchema,
  type UploadSpecSchema,
} from '@imagemesh/api';
import { MeshError, openWireCall, type SessionPool, type WireCallOptions } from '@imagemesh/rpc';
import { decode, pixelAt } from '@imagemesh/testkit';

const service = '/imagemesh.v1.ImageService';

type CallOptions = Omit<WireCallOptions, 'path'>;

/** Calls TransformStream: the spec, then the source in chunks. */
export async function transformStream(
  pool: SessionPool,
  spec: MessageInitShape<typeof TransformSpecSchema>,
  source: Uint8Array | undefined,
  options: CallOptions = {},
): Promise<{ header: TransformHeader; bytes: Buffer }> {
  const call = openWireCall(pool, { ...options, path: `${service}/TransformStream` });
  const request = create(TransformStreamRequestSchema, { message: { case: 'spec', value: spec } });
  const sending = (async () => {
    await call.writer.message(toBinary(TransformStreamRequestSchema, request));
    if (source !== undefined) await call.writer.chunks(source, 64 * 1024);
    call.end();
  })();
  // An early refusal ends the writing too; the status tells why.
  sending.catch(() => {});
  const first = await call.reader.message();
  await call.response;
  if (first === undefined) throw new Error('the reply is empty');
  const { message } = fromBinary(TransformStreamResponseSchema, first);
  if (message.case !== 'header') throw new Error(`the reply began with ${message.case}`);
  const bytes = Buffer.alloc(Number(message.value.info?.sizeBytes));
  await call.reader.chunksInto(bytes);
  await call.status;
  return { header: message.value, bytes };
}

/** Calls UploadImage: the spec, then chunks. */
export async function uploadImage(
  pool: SessionPool,
  spec: MessageInitShape<typeof UploadSpecSchema>,
  bytes: Uint8Array | AsyncIterable<Uint8Array>,
): Promise<Image> {
  const call = openWireCall(pool, { path: `${service}/UploadImage` });
  const request = create(UploadImageRequestSchema, { message: { case: 'spec', value: spec } });
  const sending = (async () => {
    await call.writer.message(toBinary(UploadImageRequestSchema, request));
    await call.writer.chunks(bytes, 64 * 1024);
    call.end();
  })();
  sending.catch(() => {});
  const reply = await call.reader.message();
  await call.status;
  const image = reply && fromBinary(UploadImageResponseSchema, reply).image;
  if (image === undefined) throw new Error('the reply has no image');
  return image;
}

/** Calls DownloadImage and hands each chunk to `sink`, which may make the server wait. */
export async function downloadImage(
  pool: SessionPool,
  imageId: string,
  sink: (bytes: Buffer) => void | Promise<void>,
): Promise<Image> {
  const call = openWireCall(pool, { path: `${service}/DownloadImage` });
  await call.writer.message(
    toBinary(DownloadImageRequestSchema, create(DownloadImageRequestSchema, { imageId })),
  );
  call.end();
  const first = await call.reader.message();
  const message = first && fromBinary(DownloadImageResponseSchema, first).message;
  if (message?.case !== 'image') throw new Error('the reply did not begin with the image');
  await call.reader.eachChunk(sink, 1024 ** 3);
  await call.status;
  return message.value;
}

/** The MeshError that a promise rejects with. */
export async function errorOf(promise: Promise<unknown>): Promise<MeshError> {
  const error = await promise.then(
    () => new Error('expected an error'),
    (reason: unknown) => reason,
  );
  if (error instanceof MeshError) return error;
  throw error;
}

/** Decodes an image: its size, and the channels of any pixel. */
export async function pixelsOf(bytes: Uint8Array) {
  const picture = await decode(bytes);
  const { width, height, channels } = picture;
  return { width, height, channels, at: (x: number, y: number) => pixelAt(picture, x, y) };
}
