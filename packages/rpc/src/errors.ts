/**
 * The one error of the mesh: a closed code, a reason for programs, a message for people.
 *
 * A rule that is broken throws a MeshError where it is broken; each edge turns it into its own protocol
 * (`connect-errors.ts`, `grpc-errors.ts`, the gateway's REST replies). `toStatus` and `fromStatus` carry it over
 * the wire as a google.rpc.Status with exactly one ErrorInfo (https://google.aip.dev/193).
 */
import { create } from '@bufbuild/protobuf';
import { anyPack, anyUnpack, durationFromMs, durationMs } from '@bufbuild/protobuf/wkt';
import {
  BadRequestSchema,
  ErrorInfoSchema,
  QuotaFailureSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
  type Status,
  StatusSchema,
} from '@imagemesh/api';

/** gRPC codes by name, with their number on the wire and the HTTP status for the same thing. */
export const ERROR_CODES = {
  cancelled: { grpc: 1, http: 499 },
  unknown: { grpc: 2, http: 500 },
  invalid_argument: { grpc: 3, http: 400 },
  deadline_exceeded: { grpc: 4, http: 504 },
  not_found: { grpc: 5, http: 404 },
  already_exists: { grpc: 6, http: 409 },
  permission_denied: { grpc: 7, http: 403 },
  resource_exhausted: { grpc: 8, http: 429 },
  failed_precondition: { grpc: 9, http: 400 },
  aborted: { grpc: 10, http: 409 },
  out_of_range: { grpc: 11, http: 400 },
  unimplemented: { grpc: 12, http: 501 },
  internal: { grpc: 13, http: 500 },
  unavailable: { grpc: 14, http: 503 },
  data_loss: { grpc: 15, http: 500 },
  unauthenticated: { grpc: 16, http: 401 },
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** ErrorInfo.domain of every error. */
export const ERROR_DOMAIN = 'imagemesh';

/** Every reason an error of the mesh can have, with the code it always comes with. */
export const ERROR_REASONS = {
  INVALID_REQUEST: 'invalid_argument',
  NOT_AN_IMAGE: 'invalid_argument',
  UNSUPPORTED_FORMAT: 'invalid_argument',
  DAMAGED_IMAGE: 'invalid_argument',
  ANIMATION_REFUSED: 'invalid_argument',
  OPERATION_OUT_OF_BOUNDS: 'invalid_argument',
  DIGEST_MISMATCH: 'invalid_argument',
  SIZE_MISMATCH: 'invalid_argument',
  BODY_TOO_LARGE: 'resource_exhausted',
  TOO_MANY_PIXELS: 'resource_exhausted',
  OUTPUT_TOO_LARGE: 'resource_exhausted',
  RESULT_TOO_LARGE: 'resource_exhausted',
  QUEUE_FULL: 'resource_exhausted',
  OVERLOADED: 'resource_exhausted',
  QUOTA_EXCEEDED: 'resource_exhausted',
  REPLICA_BUSY: 'resource_exhausted',
  STORE_FULL: 'resource_exhausted',
  UPLOADS_FULL: 'resource_exhausted',
  STORE_UNAVAILABLE: 'unavailable',
  API_KEY_MISSING: 'unauthenticated',
  API_KEY_INVALID: 'unauthenticated',
  API_KEY_EXPIRED: 'unauthenticated',
  SCOPE_MISSING: 'permission_denied',
  SIGNATURE_INVALID: 'permission_denied',
  SIGNATURE_EXPIRED: 'permission_denied',
  IMAGE_NOT_FOUND: 'not_found',
  JOB_NOT_FOUND: 'not_found',
  UPLOAD_NOT_FOUND: 'not_found',
  REPLICA_NOT_FOUND: 'not_found',
  ROUTE_NOT_FOUND: 'not_found',
  METHOD_NOT_ALLOWED: 'unimplemented',
  BLOB_NOT_FOUND: 'not_found',
  UPLOAD_OFFSET_INVALID: 'out_of_range',
  NOT_IMPLEMENTED: 'unimplemented',
  COMPRESSION_UNSUPPORTED: 'unimplemented',
  NO_REPLICA: 'unavailable',
  STORE_NOT_SHARED: 'unavailable',
  REPLICA_LOST: 'unavailable',
  REPLICA_STOPPING: 'unavailable',
  POISONED: 'failed_precondition',
  REPLICA_ID_TAKEN: 'already_exists',
  JOIN_REFUSED: 'permission_denied',
  BALANCER_UNREACHABLE: 'unavailable',
  NATS_UNAVAILABLE: 'unavailable',
  SHUTTING_DOWN: 'unavailable',
  DEADLINE_EXCEEDED: 'deadline_exceeded',
  CANCELLED: 'cancelled',
  JOB_CONFLICT: 'aborted',
  REQUEST_ID_REUSED: 'already_exists',
  BLOB_DAMAGED: 'data_loss',
  STORE_FAILED: 'internal',
  INTERNAL: 'internal',
} as const satisfies Record<string, ErrorCode>;

export type ErrorReason = keyof typeof ERROR_REASONS;

/** What services say to each other; the gateway turns it into another reason before a client sees it. */
export const INNER_REASONS = [
  'REPLICA_BUSY',
  'REPLICA_STOPPING',
  'REPLICA_ID_TAKEN',
  'JOIN_REFUSED',
  'BLOB_NOT_FOUND',
  'CANCELLED',
] as const satisfies readonly ErrorReason[];

/** What only HTTP's own routes answer. */
export const HTTP_REASONS = [
  'SIGNATURE_INVALID',
  'SIGNATURE_EXPIRED',
  'ROUTE_NOT_FOUND',
  'METHOD_NOT_ALLOWED',
] as const satisfies readonly ErrorReason[];

export type InnerReason = (typeof INNER_REASONS)[number];
export type HttpReason = (typeof HTTP_REASONS)[number];
/** What a client can get. */
export type ClientReason = Exclude<ErrorReason, InnerReason>;

/** Whether clients are told when to try again: where that may help. */
export function hasRetryInfo(reason: ErrorReason): boolean {
  const code = ERROR_REASONS[reason];
  return (code === 'resource_exhausted' || code === 'unavailable') && !futile.has(reason);
}

export function isInnerReason(reason: ErrorReason): reason is InnerReason {
  return INNER_REASONS.some((inner) => inner === reason);
}

/** One broken rule of a request: the path of the field ("operations[0].resize.width") and what is wrong with it. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

export interface MeshErrorOptions {
  /** ErrorInfo.metadata: the limit, the size, … by name. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** For invalid_argument. */
  readonly violations?: readonly FieldViolation[];
  /** For resource_exhausted and unavailable: when trying again may help. Default 1000 for those codes. */
  readonly retryAfterMs?: number;
  /** For a limit of one caller: whose ("key:alice") and which. */
  readonly quota?: { readonly subject: string; readonly description: string };
  /** For not_found: the type ("image", "job", …) and name of what is missing. */
  readonly resource?: { readonly type: string; readonly name: string };
  /** What went wrong inside; logged, never sent. */
  readonly cause?: unknown;
}

const defaultRetryAfterMs = 1000;

/** Reasons that trying again cannot help: the request itself is too large. */
const futile: ReadonlySet<ErrorReason> = new Set([
  'BODY_TOO_LARGE',
  'TOO_MANY_PIXELS',
  'OUTPUT_TOO_LARGE',
  'RESULT_TOO_LARGE',
]);

/** What the mesh throws. The message is public; the cause is not. */
export class MeshError extends Error {
  override readonly name = 'MeshError';
  readonly code: ErrorCode;
  readonly reason: ErrorReason;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly FieldViolation[];
  readonly retryAfterMs: number | undefined;
  readonly quota: { readonly subject: string; readonly description: string } | undefined;
  readonly resource: { readonly type: string; readonly name: string } | undefined;

  constructor(reason: ErrorReason, message: string, options: MeshErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = ERROR_REASONS[reason];
    this.reason = reason;
    this.metadata = options.metadata ?? {};
    this.violations = options.violations ?? [];
    this.quota = options.quota;
    this.resource = options.resource;
    this.retryAfterMs = options.retryAfterMs ?? (hasRetryInfo(reason) ? defaultRetryAfterMs : undefined);
  }
}

/** An INVALID_REQUEST that names one field. */
export function invalidField(field: string, description: string): MeshError {
  return new MeshError('INVALID_REQUEST', `${field}: ${description}`, {
    violations: [{ field, description }],
  });
}

/** The error as a google.rpc.Status: one ErrorInfo, and at most one of each other detail. */
export function toStatus(error: MeshError): Status {
  const details = [
    anyPack(
      ErrorInfoSchema,
      create(ErrorInfoSchema, {
        reason: error.reason,
        domain: ERROR_DOMAIN,
        metadata: { ...error.metadata },
      }),
    ),
  ];
  if (error.violations.length > 0) {
    const fieldViolations = error.violations.map((violation) => ({ ...violation }));
    details.push(anyPack(BadRequestSchema, create(BadRequestSchema, { fieldViolations })));
  }
  if (error.retryAfterMs !== undefined) {
    const retryDelay = durationFromMs(error.retryAfterMs);
    details.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay })));
  }
  if (error.quota !== undefined) {
    const violations = [{ ...error.quota }];
    details.push(anyPack(QuotaFailureSchema, create(QuotaFailureSchema, { violations })));
  }
  if (error.resource !== undefined) {
    const { type: resourceType, name: resourceName } = error.resource;
    details.push(anyPack(ResourceInfoSchema, create(ResourceInfoSchema, { resourceType, resourceName })));
  }
  return create(StatusSchema, { code: ERROR_CODES[error.code].grpc, message: error.message, details });
}

/** The error that a google.rpc.Status of the mesh stands for; a foreign status becomes INTERNAL. */
export function fromStatus(status: Status): MeshError {
  const info = unpackOne(status, ErrorInfoSchema);
  const reason = info?.reason;
  if (info === undefined || reason === undefined || info.domain !== ERROR_DOMAIN || !isErrorReason(reason)) {
    return new MeshError('INTERNAL', 'an inner service answered with an unexpected error', {
      cause: new Error(`status ${status.code}: ${status.message}`),
    });
  }
  const violations = unpackOne(status, BadRequestSchema)?.fieldViolations.map(({ field, description }) => ({
    field,
    description,
  }));
  const retryDelay = unpackOne(status, RetryInfoSchema)?.retryDelay;
  const quota = unpackOne(status, QuotaFailureSchema)?.violations[0];
  const resource = unpackOne(status, ResourceInfoSchema);
  return new MeshError(reason, status.message, {
    metadata: info.metadata,
    ...(violations && { violations }),
    ...(retryDelay && { retryAfterMs: durationMs(retryDelay) }),
    ...(quota && { quota: { subject: quota.subject, description: quota.description } }),
    ...(resource && { resource: { type: resource.resourceType, name: resource.resourceName } }),
  });
}

export function isErrorReason(reason: string): reason is ErrorReason {
  return Object.hasOwn(ERROR_REASONS, reason);
}

function unpackOne<Desc extends Parameters<typeof anyUnpack>[1]>(status: Status, schema: Desc) {
  for (const detail of status.details) {
    const message = anyUnpack(detail, schema);
    if (message !== undefined) return message;
  }
  return undefined;
}
