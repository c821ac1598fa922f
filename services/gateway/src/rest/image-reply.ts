/** How the bytes of an image are answered: types, caching, conditions, ranges (RFC 9110, 13 and 14). */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ImageInfo } from '@imagemesh/api';
import { formatNames, isCodedFormat } from '@imagemesh/image';
import type { HttpResponse, RestCall } from './route.ts';

export interface ImageReply {
  readonly info: ImageInfo | undefined;
  readonly sizeBytes: number;
  /** Of the file a browser saves, without its extension. */
  readonly name: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Strong, with its quotes; undefined: no conditions, no ranges. */
  readonly etag?: string;
  /** The bytes from start up to but not including end. */
  bytes(start: number, end: number): Uint8Array | AsyncIterable<Uint8Array>;
}

/** Nothing in an image's reply is ever run or embedded as something else. */
export const imageSafetyHeaders = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; sandbox",
};

/** Sends it, or what the request's conditions ask for instead. */
export async function sendImage({ request, response, signal }: RestCall, reply: ImageReply): Promise<void> {
  const { etag, sizeBytes } = reply;
  const vary = [response.getHeader('vary'), reply.headers.vary].filter((name) => name !== undefined);
  const headers = {
    ...imageSafetyHeaders,
    ...reply.headers,
    ...(vary.length > 0 && { vary: vary.join(', ') }),
    ...(etag !== undefined && { etag }),
  };
  if (etag !== undefined && matches(request.headers['if-none-match'], etag)) {
    response.writeHead(304, headers).end();
    return;
  }
  const ifRange = request.headers['if-range'];
  const range =
    etag === undefined || request.method !== 'GET' || (ifRange !== undefined && ifRange !== etag)
      ? undefined
      : parseRange(request.headers.range, sizeBytes);
  if (range === 'unsatisfiable') {
    response.writeHead(416, { ...headers, 'content-range': `bytes */${sizeBytes}` }).end();
    return;
  }
  const { start, end } = range ?? { start: 0, end: sizeBytes };
  const { mime, extension } = namesOf(reply.info);
  response.writeHead(range === undefined ? 200 : 206, {
    ...headers,
    ...(etag !== undefined && { 'accept-ranges': 'bytes' }),
    ...(range !== undefined && { 'content-range': `bytes ${start}-${end - 1}/${sizeBytes}` }),
    'content-type': mime,
    'content-length': String(end - start),
    'content-disposition': `inline; filename="${reply.name}.${extension}"`,
  });
  if (request.method === 'HEAD') response.end();
  else await sendBytes(response, reply.bytes(start, end), signal);
}

async function sendBytes(
  response: HttpResponse,
  bytes: Uint8Array | AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  await pipeline(bytes instanceof Uint8Array ? Readable.from([bytes]) : bytes, response, { signal });
}

function namesOf(info: ImageInfo | undefined): { mime: string; extension: string } {
  return info !== undefined && isCodedFormat(info.format)
    ? formatNames(info.format)
    : { mime: 'application/octet-stream', extension: 'bin' };
}

function matches(header: string | undefined, etag: string): boolean {
  const tags = header?.split(',').map((tag) => tag.trim().replace(/^W\//, '')) ?? [];
  return tags.includes('*') || tags.includes(etag);
}

/** One range of bytes; undefined for what is no such range, which is to be ignored. */
function parseRange(
  header: string | undefined,
  sizeBytes: number,
): { readonly start: number; readonly end: number } | 'unsatisfiable' | undefined {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '') ?? [];
  if (first === '' && last === '') return undefined;
  if (first === '') {
    const length = Math.min(Number(last), sizeBytes);
    return length === 0 ? 'unsatisfiable' : { start: sizeBytes - length, end: sizeBytes };
  }
  const start = Number(first);
  const end = last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes);
  if (last !== '' && Number(last) < start) return undefined;
  return start >= sizeBytes ? 'unsatisfiable' : { start, end };
}
