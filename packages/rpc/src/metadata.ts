/** Names of the headers and trailers that the mesh adds to gRPC, and the ids in them. */
import { randomBytes } from 'node:crypto';

/** Id of one call of a client; the same on every hop, in logs and in NATS headers. */
export const REQUEST_ID_HEADER = 'x-request-id';
export const TRACEPARENT_HEADER = 'traceparent';
export const GRPC_TIMEOUT_HEADER = 'grpc-timeout';
/** Names of the operations, comma-separated, at most 32. */
export const IM_OP = 'im-op';
/** Predicted work in ms of a reference core. */
export const IM_COST = 'im-cost';
/** Formats decoded and encoded, "jpeg>webp"; pixels have none. */
export const IM_FORMAT = 'im-format';
/** From a balancer to a replica: the balancer's id. */
export const IM_BALANCER = 'im-balancer';
/** "critical", "default", "sheddable" or "job". */
export const IM_CLASS = 'im-class';
/** Later stages of a pipeline: how long ago the first was admitted, in ms. They keep its place and are not shed. */
export const IM_AGE = 'im-age-ms';
/** A stage sent again: replicas that died while they ran it before. It runs alone. */
export const IM_DEATHS = 'im-deaths';
/** The store id that the replica must share. */
export const IM_STORE = 'im-store';
/** Trailer: the replica's id. */
export const IM_REPLICA = 'im-replica';
/**
 * Trailer: how long the replica worked, in ms. In the headers of a reply, too: its work is done and its slot is free,
 * whenever the reply is read.
 */
export const IM_EXEC_MS = 'im-exec-ms';
/** Trailer: how long the call waited in the replica, in ms. */
export const IM_QUEUE_MS = 'im-queue-ms';
/** Trailer: calls of other balancers that the replica runs now. */
export const IM_FOREIGN = 'im-foreign';
/** Trailer of errors: the ErrorInfo reason. */
export const IM_REASON = 'im-reason';

const acceptableId = /^[A-Za-z0-9._:/+=-]{1,128}$/;

/** A fresh request id: 32 hexadecimal digits. */
export function newRequestId(): string {
  return randomBytes(16).toString('hex');
}

/** The caller's id if it is fit for logs and headers (1 to 128 plain characters), else a fresh one. */
export function requestIdFrom(header: string | readonly string[] | null | undefined): string {
  return typeof header === 'string' && acceptableId.test(header) ? header : newRequestId();
}
