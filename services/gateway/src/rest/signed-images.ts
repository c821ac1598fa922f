/** GET /i/{signature}/{operations}/{id}.{ext}: a result for <img>, for whoever has the URL. */
import { createHash } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import { Format, type Output, VariantSchema } from '@imagemesh/api';
import { formatOfExtension } from '@imagemesh/image';
import { MeshError } from '@imagemesh/rpc';
import type { BlobStore } from '@imagemesh/store';
import { readHeld } from '../inner-errors.ts';
import type { CachedResult, ResultCache } from '../result-cache.ts';
import { mergeOutput } from '../syntax/merge-output.ts';
import { type FindPreset, type ParsedOperations, parseOperations } from '../syntax/parse-operations.ts';
import type { Transforms } from '../transforms.ts';
import { sendImage } from './image-reply.ts';
import { withAccepted } from './output-fields.ts';
import type { RestCall, Route } from './route.ts';
import type { CheckSignature, Grant } from './signing.ts';

export interface SignedImagesParts {
  readonly transforms: Transforms;
  readonly store: Pick<BlobStore, 'readTemporary'>;
  readonly cache: ResultCache;
  readonly checkSignature: CheckSignature;
  readonly findPreset: FindPreset;
  readonly now: () => number;
}

/** The whole path: signature, operations, image, extension. */
const pattern = /^\/i\/([^/]{1,128})(\/(?:(.{1,8192})\/)?([0-9a-f]{64})\.([a-z]{3,4}))$/;
/** More is not for pages; POST /transform answers it. */
const maxResultBytes = 16 * 1024 * 1024;
const maxAgeSeconds = 365 * 24 * 3600;

export function signedImagesRoute(parts: SignedImagesParts): Route {
  const { transforms, store, cache, checkSignature, findPreset, now } = parts;

  async function make(call: RestCall, id: string, work: Work, signal: AbortSignal): Promise<CachedResult> {
    const owned = { ...call, signal };
    const found = await transforms.sources.find(owned, id);
    const source = { ...found, release: async () => {} };
    const result = await transforms.run(owned, source, work.operations, work.output);
    try {
      const { held, info, sizeBytes } = result;
      if (sizeBytes > maxResultBytes) {
        throw new MeshError(
          'RESULT_TOO_LARGE',
          `the result has ${sizeBytes} bytes; URLs answer ${maxResultBytes}`,
          {
            metadata: { size: String(sizeBytes), limit: String(maxResultBytes), instead: 'POST /transform' },
          },
        );
      }
      const bytes =
        held.kind === 'memory' ? held.bytes : await (await readHeld(store, held.id)).bytes(signal);
      const digest = createHash('sha256').update(bytes).digest('base64url');
      return { bytes: Buffer.from(bytes), info, etag: `"${digest}"` };
    } finally {
      await result.release();
    }
  }

  return {
    method: 'GET',
    pattern,
    name: '/i/{signature}/{operations}/{id}.{ext}',
    access: 'open',
    async serve(call) {
      const [signature = '', rest = '', operations = '', id = '', extension = ''] = call.params;
      const grant = checkSignature(signature, rest);
      const work = readWork(operations, extension, call.request.headers.accept, findPreset);
      // The claim is looked for each time: a result that is remembered is shared no longer than its image.
      // Others may wait for the same result: its work has the time of any, and the caller's signal ends its own wait.
      const owned = { ...call, owner: grant.owner, clientDeadline: undefined };
      await transforms.sources.find(owned, id);
      const key = `${grant.owner}/${id}/${keyOf(work)}`;
      const { bytes, info, etag } = await cache.get(key, call.signal, (signal) =>
        make(owned, id, work, signal),
      );
      await sendImage(call, {
        info,
        sizeBytes: bytes.byteLength,
        name: id.slice(0, 16),
        etag,
        headers: {
          'cache-control': cacheControl(grant, now()),
          'cross-origin-resource-policy': 'cross-origin',
          ...(extension === 'auto' && { vary: 'Accept' }),
        },
        bytes: (start, end) => bytes.subarray(start, end),
      });
    },
  };
}

interface Work {
  readonly operations: ParsedOperations['operations'];
  readonly output: Output;
}

function readWork(
  operations: string,
  extension: string,
  accept: string | undefined,
  findPreset: FindPreset,
): Work {
  const format = extension === 'auto' ? Format.AUTO : formatOfExtension(extension);
  if (format === undefined) {
    throw new MeshError(
      'UNSUPPORTED_FORMAT',
      `.${extension} is no format; there are jpg, png, webp, avif, gif, tiff, auto`,
    );
  }
  const parsed = parseOperations(operations, findPreset);
  const output = Object.assign(mergeOutput(undefined, parsed.output), { format });
  return { operations: parsed.operations, output: withAccepted(output, accept) };
}

function keyOf({ operations, output }: Work): string {
  const variant = create(VariantSchema, { operations: [...operations], output });
  return createHash('sha256').update(toBinary(VariantSchema, variant)).digest('base64url');
}

/** As long as the URL is good, a year at most; what it shows never changes. */
function cacheControl({ expireMs }: Grant, nowMs: number): string {
  const leftSeconds = expireMs === undefined ? maxAgeSeconds : Math.floor((expireMs - nowMs) / 1000);
  return `public, max-age=${Math.max(0, Math.min(maxAgeSeconds, leftSeconds))}, immutable`;
}
