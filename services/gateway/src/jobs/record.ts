/** What is kept of a job, and of a request_id, in NATS. */
import { createHash } from 'node:crypto';
import { fromJson, type JsonObject, type JsonValue, toJson } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import {
  type CreateJobRequest,
  type Image,
  ImageSchema,
  type Job,
  JobPriority,
  JobSchema,
  type JobState,
  type Variant,
  VariantSchema,
} from '@imagemesh/api';
import { errorDetails } from '@imagemesh/rpc';
import type { Codec, NatsRecordsOptions } from '@imagemesh/store';
import { isFinal } from './transitions.ts';

/** A job as its owner sees it, and what the gateways need beside that. Never changed in place. */
export interface JobRecord {
  readonly job: Job;
  readonly owner: string;
  /** The image it works on, as it was claimed when the job was made. */
  readonly source: Image;
  /** The request that made it, for logs and events. */
  readonly requestId: string;
  /** W3C trace of that request. */
  readonly traceparent: string;
  /** Times in a row that it was put off for want of capacity. */
  readonly waits: number;
  /** The run that has it, or had it last. */
  readonly run?: JobRun;
  /** Keys of the work of each variant, in their order; unset in one of an earlier release. */
  readonly work?: readonly string[];
}

export interface JobRun {
  /** Random: a run whose token is no longer here has lost the job to another. */
  readonly token: string;
  /** The queue's message that the job belongs to, by its place in the stream. */
  readonly message: number;
}

/** Which job a request_id made, and from what. */
export interface RequestRecord {
  readonly jobId: string;
  readonly digest: string;
}

/** What lists need of a job. */
export interface JobSummary {
  readonly owner: string;
  readonly state: JobState;
  readonly labels: Readonly<Record<string, string>>;
  /** In ms since the epoch. */
  readonly deadlineMs?: number;
  /** Images that the job needs until it ends. */
  readonly images?: readonly string[];
  /** Keys of the work that it has results of. */
  readonly done?: readonly string[];
}

const jsonOptions = { registry: errorDetails };

/** Two lines of JSON: the summary, which is read of every job at every change, and the record. */
const jobCodec: Codec<JobRecord> = {
  encode(record) {
    const { job, source, ...rest } = record;
    const value = { ...rest, source: toJson(ImageSchema, source), job: toJson(JobSchema, job, jsonOptions) };
    return Buffer.from(`${JSON.stringify(toSummary(record))}\n${JSON.stringify(value)}`);
  },
  decode(bytes) {
    const text = Buffer.from(bytes).toString();
    // A parse boundary: written by `encode`, by this release or one before; fromJson checks the messages.
    const value = JSON.parse(text.slice(text.indexOf('\n') + 1)) as Omit<JobRecord, 'job' | 'source'> & {
      readonly job: JsonValue;
      readonly source: JsonValue;
    };
    const lenient = { ...jsonOptions, ignoreUnknownFields: true };
    return {
      ...value,
      source: fromJson(ImageSchema, value.source, lenient),
      // Older records have it beside the job alone.
      job: Object.assign(fromJson(JobSchema, value.job, lenient), { owner: value.owner }),
    };
  },
};

function toSummary({ owner, job, work = [] }: JobRecord): JobSummary {
  const { state, labels, deadline, variants, results } = job;
  const names = new Set(results.map(({ name }) => name));
  const done = work.filter((_, at) => names.has(variants[at]?.name ?? ''));
  return {
    ...{ owner, state, labels },
    ...(deadline && { deadlineMs: timestampMs(deadline) }),
    ...(!isFinal(state) && { images: imagesOf(job) }),
    ...(done.length > 0 && { done }),
  };
}

function imagesOf({ sourceImageId, variants }: Job): readonly string[] {
  const overlays = variants
    .flatMap(({ operations }) => operations)
    .flatMap(({ operation }) => (operation.case === 'watermark' ? (operation.value.imageId ?? []) : []));
  return [...new Set([sourceImageId, ...overlays])];
}

/** The summary of an encoded job. */
export function readSummary(bytes: Uint8Array): JobSummary {
  const end = bytes.indexOf(newline);
  if (end < 0) return toSummary(jobCodec.decode(bytes));
  // A parse boundary: written by `encode`.
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, end).toString()) as JobSummary;
}

const requestCodec: Codec<RequestRecord> = {
  encode: (value) => Buffer.from(JSON.stringify(value)),
  // A parse boundary: written by `encode`.
  decode: (bytes) => JSON.parse(Buffer.from(bytes).toString()) as RequestRecord,
};

/** A job is kept this long after its last change. */
export const jobTtlMs = 7 * 24 * 3_600_000;
const newline = 10;

/** Jobs by id. */
export const jobBucket: NatsRecordsOptions<JobRecord> = {
  bucket: 'imagemesh_jobs',
  codec: jobCodec,
  ttlMs: jobTtlMs,
  maxBytes: 256 * 1024 ** 2,
};

/** Request ids by `requestKey`. */
export const requestBucket: NatsRecordsOptions<RequestRecord> = {
  bucket: 'imagemesh_requests',
  codec: requestCodec,
  ttlMs: jobTtlMs,
  maxBytes: 64 * 1024 ** 2,
};

/** Key of an owner's request_id. */
export function requestKey(owner: string, requestId: string): string {
  return createHash('sha256').update(`${owner}\0${requestId}`).digest('hex');
}

/** The same for two requests that want the same of the same image. */
export function requestDigest(
  imageId: string,
  variants: readonly Variant[],
  {
    labels,
    priority,
    deadline,
    webhookUrl,
  }: Pick<CreateJobRequest, 'labels' | 'priority' | 'deadline' | 'webhookUrl'>,
): string {
  const canonical: JsonObject = {
    imageId,
    variants: variants.map((variant) => toJson(VariantSchema, variant)),
    labels: Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)),
    // Left out where it says nothing: the digest of such a request stays what it was.
    ...(priority !== JobPriority.UNSPECIFIED && { priority }),
    ...(deadline && { deadlineMs: timestampMs(deadline) }),
    ...(webhookUrl !== '' && { webhookUrl }),
  };
  return createHash('sha256').update(JSON.stringify(canonical)).digest('hex');
}
