/** Jobs for curl and forms: what POST /resize, /crop, /filter and GET /jobs/{id} answer. */
import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';
import type { Job } from '@imagemesh/api';
import { fromStatus, MeshError } from '@imagemesh/rpc';
import type { JobCall, Jobs } from '../jobs/jobs.ts';
import { stateName } from '../jobs/transitions.ts';
import type { FindPreset } from '../syntax/parse-operations.ts';
import { formatName } from './format-name.ts';
import { type FormKind, formToJob } from './job-form.ts';

export interface JobRoutes {
  post(
    call: JobCall,
    kind: FormKind,
    fields: ReadonlyMap<string, string>,
  ): Promise<{ readonly status: 202; readonly body: JobAccepted }>;
  get(call: JobCall, jobId: string): Promise<{ readonly status: 200; readonly body: JobView }>;
}

export interface JobAccepted {
  readonly task_id: string;
  /** "JOB_STATE_QUEUED", or the state it has by now where the request_id was known. */
  readonly state: string;
}

/** A job as plain JSON. */
export interface JobView {
  readonly task_id: string;
  readonly state: string;
  readonly source_image_id: string;
  readonly attempts: number;
  readonly results: readonly JobResultView[];
  readonly error?: { readonly code: string; readonly reason: string; readonly message: string };
  readonly create_time?: string;
  readonly start_time?: string;
  readonly end_time?: string;
}

export interface JobResultView {
  readonly name: string;
  readonly image_id: string;
  /** Path of its bytes. */
  readonly url: string;
  readonly format: string;
  readonly width: number;
  readonly height: number;
  readonly size_bytes: number;
}

export function createJobRoutes(jobs: Jobs, findPreset?: FindPreset): JobRoutes {
  const createJob = async (call: JobCall, kind: FormKind, fields: ReadonlyMap<string, string>) =>
    jobs.create(call, formToJob(kind, fields, findPreset));
  return {
    async post(call, kind, fields) {
      const { id, state } = await createJob(call, kind, fields).catch(rethrowForForm);
      return { status: 202, body: { task_id: id, state: stateName(state) } };
    },
    get: async (call, jobId) => ({ status: 200, body: toView(await jobs.get(call, jobId)) }),
  };
}

/** A form has one operation, whose fields it names without their path; those of the output may keep theirs. */
function rethrowForForm(error: unknown): never {
  if (!(error instanceof MeshError) || error.violations.length === 0) throw error;
  const toField = (text: string) =>
    text
      .replace(/variants\[0\]\.operations\[0\]\.\w+\./g, '')
      .replace(
        /variants\[0\]\.operations\[0\](?:\.(\w+))?/g,
        (_, name: string | undefined) => name ?? 'operation',
      )
      .replace(/variants\[0\]\./g, '');
  throw new MeshError(error.reason, toField(error.message), {
    metadata: error.metadata,
    violations: error.violations.map(({ field, description }) => ({
      field: toField(field),
      description: toField(description),
    })),
    ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs }),
    cause: error,
  });
}

export function toView(job: Job): JobView {
  const error = job.error && fromStatus(job.error);
  return {
    task_id: job.id,
    state: stateName(job.state),
    source_image_id: job.sourceImageId,
    attempts: job.attempts,
    results: job.results.map(({ name, image }) => ({
      name,
      image_id: image?.id ?? '',
      url: `/images/${image?.id}`,
      format: formatName(image?.info?.format),
      width: image?.info?.width ?? 0,
      height: image?.info?.height ?? 0,
      size_bytes: Number(image?.info?.sizeBytes ?? 0n),
    })),
    ...(error && { error: { code: error.code, reason: error.reason, message: error.message } }),
    ...time('create_time', job.createTime),
    ...time('start_time', job.startTime),
    ...time('end_time', job.endTime),
  };
}

function time(name: string, at: Timestamp | undefined): Record<string, string> {
  return at === undefined ? {} : { [name]: timestampDate(at).toISOString() };
}
