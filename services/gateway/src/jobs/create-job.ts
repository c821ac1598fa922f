/** Makes a job: checks it, records it, puts it in the queue. */
import { createHash } from 'node:crypto';
import { create, toJson } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import {
  type CreateJobRequest,
  type Image,
  type ImageInfo,
  type Job,
  JobState,
  type Variant,
  VariantSchema,
} from '@imagemesh/api';
import type { EventPublisher, JobQueue } from '@imagemesh/events';
import { formatTraceparent, type TraceContext } from '@imagemesh/observe';
import { invalidField, MeshError } from '@imagemesh/rpc';
import { type Claims, createUlids, isImageId, type RecordStore } from '@imagemesh/store';
import type { Caller } from '../identity/caller.ts';
import { announceCreated } from './announce.ts';
import { enqueue } from './enqueue.ts';
import type { NewRecords } from './new-records.ts';
import { type JobRecord, type RequestRecord, requestDigest, requestKey } from './record.ts';
import { newRecord } from './transitions.ts';

/** What a job needs to know of the call that asks for it. */
export interface JobCall {
  readonly owner: string;
  /** One with the scope admin sees everybody's jobs. */
  readonly caller?: Caller;
  readonly requestId: string;
  readonly trace: TraceContext;
  readonly signal: AbortSignal;
}

export interface CreateJobParts {
  readonly records: RecordStore<JobRecord>;
  readonly requests: RecordStore<RequestRecord>;
  readonly queue: JobQueue;
  readonly events: EventPublisher;
  readonly claims: Claims;
  readonly newRecords: NewRecords;
  /** Checks and stores an image, and claims it for the caller. */
  readonly storeImage: (call: JobCall, bytes: Uint8Array) => Promise<Image>;
  /** Throws, with the path of what is wrong, if the variants cannot be made of such an image. */
  readonly checkVariants: (call: JobCall, info: ImageInfo, variants: readonly Variant[]) => Promise<void>;
  /** Throws INVALID_REQUEST for a URL to which nothing may be posted. */
  readonly checkWebhook: (url: string) => void;
  readonly now: () => number;
}

export type CreateJob = (call: JobCall, request: CreateJobRequest) => Promise<Job>;

/**
 * The same request_id and the same request give the same job, whatever broke off before: each step finds what an
 * earlier try left. The order is request id, record, queue; a message never comes before its record.
 */
export function createJobCreator(parts: CreateJobParts): CreateJob {
  const { records, requests, queue, events, newRecords, now } = parts;
  const nextId = createUlids(now);

  return async (call, request) => {
    const variants = nameVariants(request.variants);
    const digest = requestDigest(imageIdOf(request), variants, request);
    const key = request.requestId === '' ? undefined : requestKey(call.owner, request.requestId);
    const known = key === undefined ? undefined : (await requests.get(key))?.value;
    if (known !== undefined) {
      const job = await resume(call, request.requestId, known, digest);
      if (job !== undefined) return job;
    }
    checkDeadline(request, now());
    const variantsBytes = checkSize(variants);
    if (request.webhookUrl !== '') parts.checkWebhook(request.webhookUrl);
    // Before anything is stored for a job that could not be queued.
    if (key === undefined) await queue.checkReachable();

    const source = await resolveSource(parts, call, request);
    const { info } = source;
    if (info === undefined)
      throw new MeshError('INTERNAL', `image ${source.id} was stored without its header`);
    await parts.checkVariants(call, info, variants);

    const id = key === undefined ? nextId() : await reserve(key, request.requestId, digest, known);
    const record = newRecord({
      id,
      owner: call.owner,
      source,
      variants,
      labels: request.labels,
      priority: request.priority,
      deadline: request.deadline,
      webhookUrl: request.webhookUrl,
      clientRequestId: request.requestId,
      requestId: call.requestId,
      traceparent: formatTraceparent(call.trace),
      nowMs: now(),
    });
    const revision = await records.create(id, record);
    if (revision === undefined) {
      const { value } = (await records.get(id)) ?? { value: record };
      await enqueueNew(call, value.job);
      return value.job;
    }
    announceCreated(events, record);
    newRecords.keep({ value: record, revision }, variantsBytes);
    await enqueueNew(call, record.job);
    return record.job;
  };

  /** The job that the request id made; undefined if that was broken off before the job was recorded. */
  async function resume(
    call: JobCall,
    requestId: string,
    { jobId, digest: knownDigest }: RequestRecord,
    digest: string,
  ): Promise<Job | undefined> {
    if (knownDigest !== digest) throw requestIdReused(requestId);
    const job = (await records.get(jobId))?.value.job;
    if (job !== undefined) await enqueueNew(call, job);
    return job;
  }

  /** The id for the request's job: a new one, or the one that an earlier or simultaneous try reserved. */
  async function reserve(
    key: string,
    requestId: string,
    digest: string,
    known: RequestRecord | undefined,
  ): Promise<string> {
    if (known !== undefined) return known.jobId;
    const jobId = nextId();
    if ((await requests.create(key, { jobId, digest })) !== undefined) return jobId;
    const other = (await requests.get(key))?.value;
    if (other === undefined)
      throw new MeshError('JOB_CONFLICT', `request_id ${requestId} was just dropped; try again`);
    if (other.digest !== digest) throw requestIdReused(requestId);
    return other.jobId;
  }

  /** A job that nobody has begun may have no message; a second message does no harm (see run.ts). */
  async function enqueueNew(call: JobCall, job: Job): Promise<void> {
    if (job.state === JobState.QUEUED && job.attempts === 0) await enqueue(queue, job, call);
  }
}

/** A record is one message of NATS, of which the server takes 1 MB, with the results in it. */
const maxVariantsBytes = 256 * 1024;

function checkSize(variants: readonly Variant[]): number {
  const bytes = variants.reduce(
    (sum, variant) => sum + JSON.stringify(toJson(VariantSchema, variant)).length,
    0,
  );
  if (bytes > maxVariantsBytes) {
    const what = `are ${bytes} bytes as JSON; a job holds ${maxVariantsBytes}`;
    throw invalidField('variants', what);
  }
  return bytes;
}

function checkDeadline({ deadline }: CreateJobRequest, nowMs: number): void {
  if (deadline !== undefined && timestampMs(deadline) <= nowMs)
    throw invalidField('deadline', 'must be in the future');
}

/** The variants with a name each: "0", "1", … by position where they have none. INVALID_REQUEST if two are the same. */
export function nameVariants(variants: readonly Variant[]): Variant[] {
  const seen = new Set<string>();
  return variants.map((variant, at) => {
    const name = variant.name === '' ? String(at) : variant.name;
    if (seen.has(name))
      throw invalidField(`variants[${at}].name`, `the name "${name}" is taken by another variant`);
    seen.add(name);
    return create(VariantSchema, { ...variant, name });
  });
}

function imageIdOf({ source }: CreateJobRequest): string {
  switch (source?.source.case) {
    case 'data':
      return createHash('sha256').update(source.source.value).digest('hex');
    case 'imageId':
      return source.source.value;
    default:
      throw invalidField('source', 'must be given: data or image_id');
  }
}

async function resolveSource(
  { claims, storeImage }: CreateJobParts,
  call: JobCall,
  { source }: CreateJobRequest,
): Promise<Image> {
  if (source?.source.case === 'data') return storeImage(call, source.source.value);
  const id = source?.source.value ?? '';
  const image = isImageId(id) ? await claims.get(call.owner, id) : undefined;
  if (image !== undefined) return image;
  throw new MeshError('IMAGE_NOT_FOUND', `there is no image ${JSON.stringify(id.slice(0, 64))}`, {
    resource: { type: 'image', name: id.slice(0, 64) },
  });
}

function requestIdReused(requestId: string): MeshError {
  return new MeshError('REQUEST_ID_REUSED', `request_id ${requestId} was used for another request`, {
    resource: { type: 'job', name: requestId },
  });
}
