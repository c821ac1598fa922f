/** POST /transform: an image in, its result out, in one request. */

import { Format, type Output } from '@imagemesh/api';
import { invalidField } from '@imagemesh/rpc';
import type { BlobStore } from '@imagemesh/store';
import { readHeld } from '../inner-errors.ts';
import type { IncomingChunks } from '../rpc/call-shapes.ts';
import type { ReadySource } from '../source.ts';
import { mergeOutput } from '../syntax/merge-output.ts';
import { type FindPreset, type ParsedOperations, parseOperations } from '../syntax/parse-operations.ts';
import type { Transforms } from '../transforms.ts';
import { mediaType, readForm } from './form.ts';
import { sendImage } from './image-reply.ts';
import { readOutputFields, withAccepted } from './output-fields.ts';
import type { RestCall, Route } from './route.ts';

export interface TransformRouteParts {
  readonly transforms: Transforms;
  readonly store: BlobStore;
  readonly findPreset: FindPreset;
}

export function transformRoute({ transforms, store, findPreset }: TransformRouteParts): Route {
  const receive = (call: RestCall, bytes: AsyncIterable<Uint8Array>, sizeBytes: number | undefined) =>
    transforms.sources.receive(call, chunksOf(bytes), sizeBytes);

  /** The image and the parameters; what is wrong with those of the URL is said before the image is read. */
  async function read(call: RestCall): Promise<{ source: ReadySource; work: ParsedOperations }> {
    const inUrl = readWork(call.url.searchParams, findPreset);
    const { request, signal } = call;
    if (mediaType(request) !== 'multipart/form-data') {
      const length = Number(request.headers['content-length'] ?? Number.NaN);
      const bytes = request.iterator({ destroyOnReturn: false });
      const source = await receive(call, bytes, Number.isSafeInteger(length) ? length : undefined);
      return { source, work: inUrl };
    }
    let source: ReadySource | undefined;
    try {
      const fields = await readForm(request, signal, async (bytes) => {
        source = await receive(call, bytes, undefined);
        return '';
      });
      if (source === undefined) throw invalidField('image', 'is required: a file');
      fields.delete('image');
      const work = readWork(fields, findPreset);
      return {
        source,
        work: fields.has('ops')
          ? { operations: work.operations, output: mergeOutput(inUrl.output, work.output) }
          : { operations: inUrl.operations, output: mergeOutput(inUrl.output, work.output) },
      };
    } catch (error) {
      await source?.release();
      throw error;
    }
  }

  return {
    method: 'POST',
    pattern: /^\/transform$/,
    name: '/transform',
    access: 'transform',
    async serve(call) {
      const { source, work } = await read(call);
      try {
        const output = withAccepted(mergeOutput(undefined, work.output), call.request.headers.accept);
        const result = await transforms.run(call, source, work.operations, output);
        try {
          const { held, info, sizeBytes } = result;
          const blob = held.kind === 'temporary' ? await readHeld(store, held.id) : undefined;
          await sendImage(call, {
            info,
            sizeBytes,
            name: 'image',
            headers: replyHeaders(output),
            bytes: () => (held.kind === 'memory' ? held.bytes : (blob?.stream() ?? new Uint8Array(0))),
          });
        } finally {
          await result.release();
        }
      } finally {
        await source.release();
      }
    },
  };
}

/** Of `ops` and the parameters beside it. */
function readWork(fields: Iterable<readonly [string, string]>, findPreset: FindPreset): ParsedOperations {
  const given = new Map(fields);
  const { operations, output } = parseOperations(given.get('ops') ?? '', findPreset);
  given.delete('ops');
  const over = readOutputFields(given);
  return { operations, output: output === undefined ? over : mergeOutput(output, over) };
}

function replyHeaders({ format }: Output): Record<string, string> {
  return { 'cache-control': 'no-store', ...(format === Format.AUTO && { vary: 'Accept' }) };
}

function chunksOf(bytes: AsyncIterable<Uint8Array>): IncomingChunks {
  return {
    async eachChunk(sink) {
      let total = 0;
      // Whoever takes them counts them.
      for await (const part of bytes) {
        total += part.length;
        await sink(part);
      }
      return total;
    },
  };
}
