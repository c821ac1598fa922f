import { Code, ConnectError } from '@connectrpc/connect';
import type { UniversalServerResponse } from '@connectrpc/connect/protocol';
import { errorToJsonBytes } from '@connectrpc/connect/protocol-connect';
import { describe, expect, it } from 'vitest';
import { withMeshErrors } from './early-errors.ts';
import type { MeshError } from './errors.ts';

async function* body(bytes: Uint8Array) {
  yield bytes;
}

const error = new ConnectError('no', Code.Aborted);
const asJson = () => ({
  status: 409,
  header: new Headers({ 'content-type': 'application/json' }),
  body: body(errorToJsonBytes(error, undefined)),
});
const asTrailers = () => ({
  status: 200,
  header: new Headers({ 'content-type': 'application/grpc' }),
  body: body(new Uint8Array(0)),
  trailer: new Headers({ 'grpc-status': '10', 'grpc-message': 'no' }),
});

async function mend(reply: UniversalServerResponse, isHandlers: boolean) {
  const refused: MeshError[] = [];
  const mended = await withMeshErrors(reply, {
    isGrpc: reply.trailer !== undefined,
    isHandlers: () => isHandlers,
    onRefused: (each) => refused.push(each),
  });
  const parts: Uint8Array[] = [];
  if (mended.body !== undefined) for await (const part of mended.body) parts.push(Buffer.from(part));
  return { text: Buffer.concat(parts).toString(), trailer: mended.trailer, refused };
}

describe('an error without details', () => {
  it('is rebuilt where no handler raised it', async () => {
    const { text, refused } = await mend(asJson(), false);
    expect(JSON.parse(text)).toMatchObject({ details: [{ type: 'google.rpc.ErrorInfo' }] });
    expect(refused).toHaveLength(1);
    const { trailer } = await mend(asTrailers(), false);
    expect(trailer?.has('grpc-status-details-bin')).toBe(true);
  });

  it('stays as it is where a handler did', async () => {
    const { text, refused } = await mend(asJson(), true);
    expect(JSON.parse(text)).toEqual({ code: 'aborted', message: 'no' });
    expect(refused).toEqual([]);
    const { trailer } = await mend(asTrailers(), true);
    expect(Object.fromEntries(trailer ?? [])).toEqual({ 'grpc-status': '10', 'grpc-message': 'no' });
  });
});
