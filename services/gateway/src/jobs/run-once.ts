/**
 * Identical work is done once: the same operations and output of the same image. Calls at the same time in this gateway
 * join; what any gateway has finished is answered from the stored result, as long as that is there.
 */
import { createHash } from 'node:crypto';
import { fromJson, type JsonValue, toJson } from '@bufbuild/protobuf';
import { type Image, ImageSchema, type Variant, VariantSchema } from '@imagemesh/api';
import type { Metrics } from '@imagemesh/observe';
import { deadlineIn } from '@imagemesh/rpc';
import type { BlobStore, NatsRecordsOptions, RecordStore } from '@imagemesh/store';
import { jobTtlMs } from './record.ts';
import { type RunVariant, variantTimeoutMs } from './run.ts';
import { createSharedWork } from './shared-work.ts';

/** Results by `workKey`. A full bucket takes no more: what is not in it is done again. */
export const resultBucket: NatsRecordsOptions<Image> = {
  bucket: 'imagemesh_results',
  codec: {
    encode: (image) => Buffer.from(JSON.stringify(toJson(ImageSchema, image))),
    // A parse boundary: written by `encode`; fromJson checks it.
    decode: (bytes) =>
      fromJson(ImageSchema, JSON.parse(Buffer.from(bytes).toString()) as JsonValue, {
        ignoreUnknownFields: true,
      }),
  },
  ttlMs: jobTtlMs,
  maxBytes: 64 * 1024 ** 2,
};

/** Raise it when the same operations come to make other pixels. */
const workVersion = 1;

export interface RunOnceParts {
  readonly results: Pick<RecordStore<Image>, 'get' | 'create' | 'update'>;
  readonly store: Pick<BlobStore, 'touchImage'>;
  readonly runVariant: RunVariant;
  readonly metrics?: Metrics;
}

export function createRunOnce({ results, store, runVariant, metrics }: RunOnceParts): RunVariant {
  const reused = metrics?.counter({
    name: 'imagemesh_gateway_job_results_reused_total',
    help: 'Variants of jobs that were answered from a stored result.',
  });
  const share = createSharedWork<Image>();

  /** A result whose bytes are gone is none; bytes that are there are spared by sweeps until they are claimed. */
  async function findStored(key: string): Promise<Image | undefined> {
    const image = (await results.get(key).catch(() => undefined))?.value;
    if (image === undefined) return undefined;
    return (await store.touchImage(image.id)) ? image : undefined;
  }

  /** Best effort: without it the work is done again. */
  async function keep(key: string, image: Image): Promise<void> {
    try {
      if ((await results.create(key, image)) !== undefined) return;
      const entry = await results.get(key);
      if (entry !== undefined) await results.update(key, image, entry.revision);
    } catch {
      // NATS is away or full.
    }
  }

  return (call, source, variant) => {
    const key = workKey(source.id, variant);
    // Of one owner only: whether another may still use the images in it is not this owner's to answer.
    return share(`${call.owner} ${key}`, call.signal, async (signal) => {
      const stored = await findStored(key);
      if (stored !== undefined) {
        reused?.inc();
        return stored;
      }
      // Its own deadline, as others may wait longer than the first.
      const image = await runVariant(
        { ...call, signal, deadline: deadlineIn(variantTimeoutMs) },
        source,
        variant,
      );
      await keep(key, image);
      return image;
    });
  };
}

/** The same for variants that differ in nothing but their name. */
export function workKey(imageId: string, { operations, output }: Variant): string {
  const canonical = toJson(VariantSchema, {
    $typeName: 'imagemesh.v1.Variant',
    name: '',
    operations,
    ...(output && { output }),
  });
  return createHash('sha256')
    .update(JSON.stringify([workVersion, imageId, canonical]))
    .digest('hex');
}
