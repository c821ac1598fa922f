/**
 * Identical work is done once: the same operations and output of the same image. Calls at the same time in this gateway
 * join; what any gateway has finished is answered from the result of the job that has it, as long as its bytes are there.
 */
import { create } from '@bufbuild/protobuf';
import { type Image, ImageSchema } from '@imagemesh/api';
import type { Metrics } from '@imagemesh/observe';
import { deadlineIn } from '@imagemesh/rpc';
import type { BlobStore, RecordStore } from '@imagemesh/store';
import type { JobIndex } from './job-index.ts';
import type { JobRecord } from './record.ts';
import { type RunVariant, variantTimeoutMs } from './run.ts';
import { createSharedWork } from './shared-work.ts';
import { workKey } from './work-key.ts';

/** The result of the work with that key, if some job has it; its bytes may be gone. Never throws. */
export type FindResult = (key: string) => Promise<Image | undefined>;

/** Costs nothing where no job has it, and one read of a record where one has. */
export function createFindResult(
  index: Pick<JobIndex, 'findWork'>,
  records: Pick<RecordStore<JobRecord>, 'get'>,
): FindResult {
  return async (key) => {
    const jobId = index.findWork(key);
    const record = jobId && (await records.get(jobId).catch(() => undefined))?.value;
    if (!record) return undefined;
    const { job, work = [] } = record;
    const names = job.variants.filter((_, at) => work[at] === key).map(({ name }) => name);
    return job.results.find(({ name }) => names.includes(name))?.image;
  };
}

export interface RunOnceParts {
  readonly findResult: FindResult;
  readonly store: Pick<BlobStore, 'touchImage'>;
  readonly runVariant: RunVariant;
  readonly metrics?: Metrics;
}

export function createRunOnce({ findResult, store, runVariant, metrics }: RunOnceParts): RunVariant {
  const reused = metrics?.counter({
    name: 'imagemesh_gateway_job_results_reused_total',
    help: 'Variants of jobs that were answered from a stored result.',
  });
  const share = createSharedWork<Image>();

  /** A result whose bytes are gone is none; bytes that are there are spared by sweeps until they are claimed. */
  async function findStored(key: string): Promise<Image | undefined> {
    const image = await findResult(key);
    if (image === undefined || !(await store.touchImage(image.id))) return undefined;
    return create(ImageSchema, { id: image.id, ...(image.info && { info: image.info }) });
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
      return runVariant({ ...call, signal, deadline: deadlineIn(variantTimeoutMs) }, source, variant);
    });
  };
}
