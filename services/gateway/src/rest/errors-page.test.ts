/** docs/errors.md is what the code says: UPDATE_DOCS=1 writes it anew. */
import { readFile, writeFile } from 'node:fs/promises';
import { ERROR_CODES, ERROR_DOCS, ERROR_REASONS, isErrorReason, MeshError } from '@imagemesh/rpc';
import { expect, it } from 'vitest';
import { httpStatusOf } from './route.ts';

const page = new URL('../../../../docs/errors.md', import.meta.url);

function row([reason, code]: readonly [string, keyof typeof ERROR_CODES]): string {
  if (!isErrorReason(reason)) throw new Error(`${reason} is no reason`);
  const { when, remedy } = ERROR_DOCS[reason];
  const { grpc, http } = ERROR_CODES[code];
  const status = httpStatusOf(new MeshError(reason, ''));
  const over = status === http ? String(http) : `${status} (Connect: ${http})`;
  return `| ${reason} | ${code.toUpperCase()} (${grpc}) | ${over} | ${when} | ${remedy} |`;
}

function write(): string {
  return [
    '# Errors',
    '',
    'Made from `packages/rpc/src/errors.ts` and `error-docs.ts`; `npm run docs:errors` writes it anew.',
    '',
    'Every error is a `google.rpc.Status` with one `ErrorInfo` (domain `imagemesh`), whichever the protocol; HTTP has its code, reason,',
    'message and details as JSON, and `Retry-After` for `RetryInfo`. The reason is what programs should look at. gRPC has it in the',
    'trailer `im-reason` too.',
    '',
    '| reason | gRPC code | HTTP status | when | what to do |',
    '|---|---|---|---|---|',
    ...Object.entries(ERROR_REASONS).map(row),
    '',
  ].join('\n');
}

it('docs/errors.md lists every reason as the code has it', async () => {
  if (process.env.UPDATE_DOCS === '1') await writeFile(page, write());
  expect(await readFile(page, 'utf8')).toBe(write());
});
