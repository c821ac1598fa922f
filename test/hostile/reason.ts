/** Whether a refusal is typed: which reason of docs/errors.md it carries, in whichever protocol's form. */
import { fromBinary } from '@bufbuild/protobuf';
import { ErrorInfoSchema } from '@imagemesh/api';
import { type ErrorReason, isErrorReason } from '@imagemesh/rpc';

type Headers = Readonly<Record<string, unknown>>;

/** Of gRPC's trailers or headers, else of the JSON that the HTTP side and Connect answer; undefined: the refusal has none. */
export function reasonOf(headers: Headers, body: string): ErrorReason | undefined {
  const named = headers['im-reason'];
  if (typeof named === 'string') return isErrorReason(named) ? named : undefined;
  const json = parse(body);
  const reason = json?.error?.reason ?? infoIn(json)?.reason ?? '';
  return isErrorReason(reason) ? reason : undefined;
}

interface ErrorBody {
  readonly error?: { readonly reason?: string };
  readonly details?: readonly { readonly type?: string; readonly value?: string }[];
}

function parse(body: string): ErrorBody | undefined {
  try {
    // A parse boundary; what is read of it may be missing.
    return JSON.parse(body) as ErrorBody;
  } catch {
    return undefined;
  }
}

function infoIn(json: ErrorBody | undefined) {
  const detail = json?.details?.find(({ type }) => type === 'google.rpc.ErrorInfo');
  return detail && fromBinary(ErrorInfoSchema, Buffer.from(detail.value ?? '', 'base64'));
}
