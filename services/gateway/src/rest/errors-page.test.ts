/** docs/errors.md is what the code says: UPDATE_DOCS=1 writes it anew. */
import { readFile, writeFile } from 'node:fs/promises';
import {
  ERROR_CODES,
  ERROR_DOCS,
  ERROR_REASONS,
  type ErrorReason,
  HTTP_REASONS,
  hasRetryInfo,
  INNER_REASONS,
  type InnerReason,
  isErrorReason,
  isInnerReason,
  MeshError,
} from '@imagemesh/rpc';
import { expect, it } from 'vitest';
import { httpStatusOf } from './route.ts';

const page = new URL('../../../../docs/errors.md', import.meta.url);

function row(reason: ErrorReason): string {
  const { when, remedy } = ERROR_DOCS[reason];
  const code = ERROR_REASONS[reason];
  const { grpc, http } = ERROR_CODES[code];
  const status = httpStatusOf(new MeshError(reason, ''));
  const isHttpOnly = HTTP_REASONS.some((each) => each === reason);
  const over = status === http ? String(http) : isHttpOnly ? String(status) : `${status} (Connect: ${http})`;
  const name = `${code.toUpperCase()} (${grpc})${isHttpOnly ? ', HTTP only' : ''}`;
  return `| ${reason} | ${name} | ${over} | ${hasRetryInfo(reason) ? 'yes' : ''} | ${when} | ${remedy} |`;
}

function innerRow(reason: InnerReason): string {
  const { when, remedy } = ERROR_DOCS[reason];
  return `| ${reason} | ${ERROR_REASONS[reason].toUpperCase()} (${ERROR_CODES[ERROR_REASONS[reason]].grpc}) | ${when} | ${remedy} |`;
}

function write(): string {
  return [
    '# Errors',
    '',
    'Made from `packages/rpc/src/errors.ts` and `error-docs.ts`; `npm run docs:errors` writes it anew. Each is provoked by a test, over',
    'gRPC and over HTTP: `services/gateway/src/errors/`.',
    '',
    'Every error is a `google.rpc.Status` with one `ErrorInfo` (domain `imagemesh`), whichever the protocol; HTTP has its code, reason,',
    'message and details as JSON, and `Retry-After` for `RetryInfo`. The reason is what programs should look at. gRPC has it in the',
    'trailer `im-reason` too. A gateway that stops before it has answered leaves HTTP/2 the status, `im-reason` and `Retry-After` alone.',
    '',
    '| reason | gRPC code | HTTP status | RetryInfo | when | what to do |',
    '|---|---|---|---|---|---|',
    ...Object.keys(ERROR_REASONS)
      .filter(isErrorReason)
      .filter((reason) => !isInnerReason(reason))
      .map(row),
    '',
    '## Inside the mesh',
    '',
    'Said between services, and found in logs and metrics; no client of a gateway gets these.',
    '',
    '| reason | gRPC code | when | what to do |',
    '|---|---|---|---|',
    ...INNER_REASONS.map(innerRow),
    '',
  ].join('\n');
}

it('docs/errors.md lists every reason as the code has it', async () => {
  if (process.env.UPDATE_DOCS === '1') await writeFile(page, write());
  expect(await readFile(page, 'utf8')).toBe(write());
});
