/** What each reason means to whoever gets it; docs/errors.md is made of it. */
import type { ErrorReason } from './errors.ts';

export interface ErrorDoc {
  readonly when: string;
  readonly remedy: string;
}

const inside = 'Nothing a client can do; the log has the cause under the request id.';
const later = 'Try again after `RetryInfo`.';

export const ERROR_DOCS: Readonly<Record<ErrorReason, ErrorDoc>> = {
  INVALID_REQUEST: { when: 'A field breaks a rule; `BadRequest` names it.', remedy: 'Correct the field.' },
  NOT_AN_IMAGE: { when: 'The bytes are no image, or none at all.', remedy: 'Send an image.' },
  UNSUPPORTED_FORMAT: {
    when: 'A format that is not read or written.',
    remedy: 'Use JPEG, PNG, WebP, AVIF, GIF or TIFF.',
  },
  DAMAGED_IMAGE: { when: 'The image breaks off or cannot be decoded.', remedy: 'Send it whole.' },
  ANIMATION_REFUSED: {
    when: 'An operation or format cannot do several frames.',
    remedy: 'Put `select_frame` before it.',
  },
  OPERATION_OUT_OF_BOUNDS: {
    when: 'An operation reaches outside the image.',
    remedy: 'Look at the size it meets: `ExplainTransform`.',
  },
  DIGEST_MISMATCH: { when: 'The bytes have another digest than was said.', remedy: 'Send them again.' },
  SIZE_MISMATCH: { when: 'More or fewer bytes came than were said.', remedy: 'Send them again.' },
  BODY_TOO_LARGE: { when: 'A body or message over its limit.', remedy: 'Send less; `limit` says how much.' },
  TOO_MANY_PIXELS: {
    when: 'A source over a limit of pixels, sides, frames or work.',
    remedy: 'Send a smaller image.',
  },
  OUTPUT_TOO_LARGE: { when: 'A result would be over a limit of pixels.', remedy: 'Ask for a smaller one.' },
  RESULT_TOO_LARGE: {
    when: 'An encoded result over what the call answers.',
    remedy: 'Use `TransformStream`, or ask for less.',
  },
  QUEUE_FULL: { when: 'As many calls or jobs wait as may.', remedy: later },
  OVERLOADED: {
    when: 'A limit of the gateway for all callers, or for a connection; `limit` names it.',
    remedy: later,
  },
  QUOTA_EXCEEDED: { when: 'A limit of the API key; `limit` names it.', remedy: later },
  REPLICA_BUSY: { when: 'A replica has no slot.', remedy: 'Clients get NO_REPLICA.' },
  STORE_FULL: { when: 'The store has no room.', remedy: 'Delete images, or try again later.' },
  UPLOADS_FULL: {
    when: 'As many uploads are open as one caller may have.',
    remedy: 'Finish one, or wait until one expires.',
  },
  STORE_NOT_SHARED: {
    when: 'No replica that could do it shares the store of the gateway, and a watermark is read from there.',
    remedy: 'Give the replicas the STORE_URL of the gateway.',
  },
  STORE_UNAVAILABLE: { when: 'The store does not answer.', remedy: later },
  API_KEY_MISSING: {
    when: 'The call needs an API key and has none.',
    remedy: 'Send `authorization: Bearer <key>` or `x-api-key`.',
  },
  API_KEY_INVALID: {
    when: 'The key is malformed or unknown, or two differ.',
    remedy: 'Use a key of this gateway.',
  },
  API_KEY_EXPIRED: { when: 'The key was good until its time.', remedy: 'Get a new one.' },
  SCOPE_MISSING: { when: 'The key is not for this; `scope` says what would be.', remedy: 'Use another key.' },
  SIGNATURE_INVALID: {
    when: 'The signature of a URL is not of these operations, or of no key.',
    remedy: 'Sign the URL anew.',
  },
  SIGNATURE_EXPIRED: { when: 'The time of a signed URL is over.', remedy: 'Sign the URL anew.' },
  IMAGE_NOT_FOUND: { when: 'There is no such image of this caller.', remedy: 'Upload it.' },
  JOB_NOT_FOUND: { when: 'There is no such job of this caller.', remedy: 'Create it.' },
  UPLOAD_NOT_FOUND: {
    when: 'There is no such upload of this caller, or it has expired.',
    remedy: 'Start a new one.',
  },
  REPLICA_NOT_FOUND: { when: 'No balancer knows the replica.', remedy: 'Look at `ListReplicas`.' },
  ROUTE_NOT_FOUND: { when: 'Nothing is served at the path.', remedy: 'Correct the path.' },
  METHOD_NOT_ALLOWED: {
    when: 'The path is not served by that HTTP method.',
    remedy: 'Use one that the header `Allow` names.',
  },
  BLOB_NOT_FOUND: {
    when: 'Bytes that should be in the store are gone.',
    remedy: 'Clients get IMAGE_NOT_FOUND; STORE_FAILED where no image of theirs was meant.',
  },
  UPLOAD_OFFSET_INVALID: {
    when: 'A chunk does not go on where the upload is.',
    remedy: 'Ask `QueryUpload` where that is.',
  },
  NOT_IMPLEMENTED: { when: 'There is no such method.', remedy: 'Look at the API by reflection.' },
  COMPRESSION_UNSUPPORTED: {
    when: 'A compressed message where none is taken.',
    remedy: 'Send it as it is: identity.',
  },
  NO_REPLICA: { when: 'No replica can do the work now.', remedy: later },
  REPLICA_LOST: { when: 'The replica ended, and others could not take the work.', remedy: later },
  REPLICA_STOPPING: { when: 'The replica is leaving.', remedy: 'Clients get NO_REPLICA.' },
  POISONED: { when: 'Two replicas died that ran nothing but this.', remedy: 'Do not send it again.' },
  REPLICA_ID_TAKEN: {
    when: 'Another replica with that id has joined.',
    remedy: 'Start the replica with another `REPLICA_ID`.',
  },
  JOIN_REFUSED: {
    when: 'The join token is wrong, or a limit of replicas is reached.',
    remedy: 'Give the replica the `JOIN_TOKEN` of the balancer.',
  },
  BALANCER_UNREACHABLE: { when: 'The gateway reaches no balancer.', remedy: later },
  NATS_UNAVAILABLE: { when: 'A call about jobs while NATS is away.', remedy: later },
  SHUTTING_DOWN: { when: 'The process that took the call is stopping.', remedy: later },
  DEADLINE_EXCEEDED: { when: 'The deadline passed.', remedy: 'Give it more time, or less to do.' },
  CANCELLED: {
    when: 'The caller left, or the job was cancelled: in logs and metrics. From a replica alone:',
    remedy: 'Clients get REPLICA_LOST.',
  },
  JOB_CONFLICT: {
    when: 'The job is in a state that does not allow it, or changed meanwhile.',
    remedy: 'Look at it with `GetJob`.',
  },
  REQUEST_ID_REUSED: { when: 'The `request_id` was used for another request.', remedy: 'Use a new one.' },
  BLOB_DAMAGED: { when: 'Bytes in the store are not what they were.', remedy: 'Upload the image again.' },
  STORE_FAILED: { when: 'The store failed.', remedy: inside },
  INTERNAL: { when: 'A defect.', remedy: inside },
};
