/** What is wrong with a request, or with who makes it. For tests. */
import { crc32 } from 'node:zlib';
import { ImageService, JobService, UploadService } from '@imagemesh/api';
import type { ClientReason } from '@imagemesh/rpc';
import { signPath } from '../rest/signing.ts';
import { beginUpload, newImage, png, signingKey, type TestGateways, upload } from './gateways.ts';
import { byHttp, byRpc, byTransform, meshSays, type Provokers } from './provoke.ts';

const unknown = '0'.repeat(64);
const unknownUlid = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
const { getImage, transform } = ImageService.method;
const { startUpload, writeChunk, queryUpload, finishUpload } = UploadService.method;

export function requestProvokers(gateways: () => TestGateways) {
  const plain = () => gateways().plain;
  const keyed = () => gateways().keyed;
  const keyedTransform = (headers: Readonly<Record<string, string>>) => ({
    method: transform,
    request: { source: { source: { case: 'data', value: png } } } as const,
    headers,
  });
  const withKey = (key: () => string) =>
    byRpc(
      keyed,
      () => keyedTransform({ authorization: `Bearer ${key()}` }),
      () => ({ method: 'POST', path: '/upload', body: png, headers: { 'x-api-key': key() } }),
    );
  return {
    INVALID_REQUEST: byTransform(plain, png, {
      operations: [{ operation: { case: 'resize', value: { width: 0 } } }],
      ops: 'resize:0x',
    }),
    NOT_AN_IMAGE: byTransform(plain, Buffer.from('hello, this is no image at all')),
    UNSUPPORTED_FORMAT: byTransform(plain, Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')),
    DAMAGED_IMAGE: byTransform(plain, png.subarray(0, 20)),
    ANIMATION_REFUSED: byTransform(plain, twoFrames(), {
      operations: [{ operation: { case: 'trim', value: {} } }],
      ops: 'trim',
    }),
    OPERATION_OUT_OF_BOUNDS: byTransform(plain, png, {
      operations: [{ operation: { case: 'crop', value: { left: 5, top: 0, width: 5, height: 1 } } }],
      ops: 'crop:5,0,5x1',
    }),
    DIGEST_MISMATCH: byRpc(
      plain,
      async () => ({
        method: writeChunk,
        request: { uploadId: await beginUpload(plain(), png.length), data: png, crc32c: 7 },
      }),
      {
        method: 'POST',
        path: '/upload',
        body: png,
        headers: { 'content-digest': `sha-256=:${Buffer.alloc(32).toString('base64')}:` },
      },
    ),
    SIZE_MISMATCH: byRpc(plain, async () => ({
      method: finishUpload,
      request: { uploadId: await beginUpload(plain(), png.length) },
    })),
    BODY_TOO_LARGE: byRpc(
      plain,
      { method: startUpload, request: { sizeBytes: 10n ** 12n } },
      { method: 'POST', path: '/resize', body: 'x'.repeat(2_000_000), headers: jsonType },
    ),
    TOO_MANY_PIXELS: byTransform(plain, claimingSize(60_000, 60_000)),
    OUTPUT_TOO_LARGE: byTransform(plain, png, {
      operations: [{ operation: { case: 'resize', value: { width: 60_000, height: 60_000 } } }],
      ops: 'resize:60000x60000',
    }),
    RESULT_TOO_LARGE: byRpc(plain, { ...keyedTransform(meshSays('bytes-4000001')) }, async () => ({
      path: `/i/unsafe/${await upload(plain())}.png`,
      headers: meshSays(`bytes-${16 * 1024 * 1024 + 1}`),
    })),
    OVERLOADED: byTransform(() => gateways().tight, png),
    QUOTA_EXCEEDED: withKey(() => gateways().keys.spent),
    UPLOADS_FULL: byRpc(() => gateways().tight, { method: startUpload, request: { sizeBytes: 10n } }),
    API_KEY_MISSING: byRpc(keyed, keyedTransform({}), { method: 'POST', path: '/upload', body: png }),
    API_KEY_INVALID: withKey(() => 'nonsense'),
    API_KEY_EXPIRED: withKey(() => gateways().keys.old),
    SCOPE_MISSING: withKey(() => gateways().keys.reader),
    SIGNATURE_INVALID: byHttp(keyed, { path: `/i/k1.${'A'.repeat(43)}/${unknown}.png` }),
    SIGNATURE_EXPIRED: byHttp(keyed, {
      path: `/i/${signPath(signingKey, `/${unknown}.png`, 1)}/${unknown}.png`,
    }),
    IMAGE_NOT_FOUND: byRpc(
      plain,
      { method: getImage, request: { imageId: unknown } },
      { path: `/images/${unknown}` },
    ),
    UPLOAD_NOT_FOUND: byRpc(plain, { method: queryUpload, request: { uploadId: unknownUlid } }),
    UPLOAD_OFFSET_INVALID: byRpc(plain, async () => ({
      method: writeChunk,
      request: { uploadId: await beginUpload(plain(), png.length), writeOffset: 5n, data: png },
    })),
    ROUTE_NOT_FOUND: byHttp(plain, { path: '/nothing' }),
    METHOD_NOT_ALLOWED: byHttp(plain, { path: '/upload' }),
    NOT_IMPLEMENTED: byRpc(plain, {
      method: getImage,
      request: {},
      path: '/imagemesh.v1.ImageService/Nothing',
    }),
    COMPRESSION_UNSUPPORTED: byRpc(plain, { method: getImage, request: {}, encoding: 'zstd' }),
    NATS_UNAVAILABLE: byRpc(
      plain,
      { method: JobService.method.getJob, request: { jobId: unknownUlid } },
      { path: `/jobs/${unknownUlid}` },
    ),
  } satisfies Partial<Provokers<ClientReason>>;
}

const jsonType = { 'content-type': 'application/json' };

/** A GIF of two frames of one pixel each. */
function twoFrames(): Buffer {
  const one = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==', 'base64');
  const frame = one.subarray(19, -1);
  return Buffer.concat([one.subarray(0, 19), frame, frame, one.subarray(-1)]);
}

/** A PNG whose header claims another size; the checksum of the header is right. */
function claimingSize(width: number, height: number): Buffer {
  const forged = newImage();
  forged.writeUInt32BE(width, 16);
  forged.writeUInt32BE(height, 20);
  forged.writeUInt32BE(crc32(forged.subarray(12, 29)), 29);
  return forged;
}
