/** A signed URL of a result, checked as the gateway will check it. Pure. */
import { formatOfExtension } from '@imagemesh/image';
import { invalidField } from '@imagemesh/rpc';
import { type SigningKey, signPath } from '../rest/signing.ts';
import { type FindPreset, parseOperations } from '../syntax/parse-operations.ts';

export interface SignRequest {
  readonly imageId: string;
  /** In the syntax of URLs; empty: the image is encoded anew, and no more. */
  readonly operations: string;
  /** The extension, or auto. */
  readonly format: string;
  /** In seconds since the epoch; undefined: never. */
  readonly expirySeconds: number | undefined;
  /** What stands before the path. */
  readonly base: string;
}

/** INVALID_REQUEST for what the gateway would refuse. */
export function signUrl(request: SignRequest, key: SigningKey, findPreset: FindPreset): string {
  const { imageId, operations, format, expirySeconds, base } = request;
  if (!/^[0-9a-f]{64}$/.test(imageId))
    throw invalidField('ID', 'must be the id of an image, 64 digits of 0-9 and a-f');
  if (format !== 'auto' && formatOfExtension(format) === undefined)
    throw invalidField('--format', 'must be one of jpg, png, webp, avif, gif, tiff, auto');
  const steps = asBrowsersSend(operations);
  parseOperations(steps, findPreset);
  const rest = `${steps === '' ? '' : `/${steps}`}/${imageId}.${format}`;
  return `${base.replace(/\/$/, '')}/i/${signPath(key, rest, expirySeconds)}${rest}`;
}

/** What is signed is the path on the wire, where browsers encode what may not stand in one. */
function asBrowsersSend(operations: string): string {
  const path = operations.replace(/[?#\\]/g, encodeURIComponent);
  return new URL(`http://gateway/${path}`).pathname.slice(1);
}
