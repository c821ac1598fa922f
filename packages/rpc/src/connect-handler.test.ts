/** What is answered where no handler is reached. The rest of it is in server.test.ts. */
import { once } from 'node:events';
import { connect, type IncomingHttpHeaders } from 'node:http2';
import { text } from 'node:stream/consumers';
import { ImageService } from '@imagemesh/api';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type RpcServer, startRpcServer } from './server.ts';

let server: RpcServer;
beforeEach(async () => {
  server = await startRpcServer({
    routes: (router) => router.service(ImageService, { transform: () => ({}) }),
  });
});
afterEach(() => server.close(0));

const transform = '/imagemesh.v1.ImageService/Transform';

async function send(path: string, headers: Record<string, string>) {
  const session = connect(`http://127.0.0.1:${server.port}`);
  const stream = session.request({ ':method': 'POST', ':path': path, ...headers }).end();
  const [reply]: [IncomingHttpHeaders] = (await once(stream, 'response')) as [IncomingHttpHeaders];
  const body = await text(stream);
  session.destroy();
  return { status: reply[':status'], type: reply['content-type'], reason: reply['im-reason'], body };
}

describe('a call of a method that is not there', () => {
  it.each([
    ['by its content type', { 'content-type': 'application/proto' }],
    ['by its protocol', { 'content-type': 'application/json', 'connect-protocol-version': '1' }],
  ])('is UNIMPLEMENTED to a client of Connect, known %s', async (_how, headers) => {
    const reply = await send('/no.Service/Method', headers);
    expect(reply).toMatchObject({ status: 404, type: 'application/json', reason: 'NOT_IMPLEMENTED' });
    expect(JSON.parse(reply.body)).toMatchObject({
      code: 'unimplemented',
      message: 'there is no method Method of no.Service here',
      details: [{ type: 'google.rpc.ErrorInfo' }],
    });
  });

  it.each(['application/connect+proto', 'application/grpc', 'application/grpc-web+proto'])(
    'is answered in the form of %s',
    async (type) => {
      const reply = await send('/no.Service/Method', { 'content-type': type });
      expect(reply).toMatchObject({ status: 200, type, reason: 'NOT_IMPLEMENTED' });
    },
  );

  it('is another matter where nothing says that it is a call', async () => {
    const reply = await send('/no.Service/Method', { 'content-type': 'application/json' });
    expect(JSON.parse(reply.body)).toMatchObject({ error: { reason: 'ROUTE_NOT_FOUND' } });
  });
});

describe('a call by another HTTP method', () => {
  it.each(['application/grpc', 'application/grpc-web+proto'])('is told so in text over %s', async (type) => {
    const reply = await send(transform, { ':method': 'DELETE', 'content-type': type });
    const type405 = 'text/plain; charset=utf-8';
    expect(reply).toMatchObject({ status: 405, type: type405, reason: 'METHOD_NOT_ALLOWED' });
    expect(reply.body).toBe('this method is not called by that HTTP method\n');
  });

  it('is told so in JSON over Connect', async () => {
    const reply = await send(transform, { ':method': 'DELETE', 'content-type': 'application/proto' });
    expect(reply).toMatchObject({ status: 405, type: 'application/json' });
    expect(JSON.parse(reply.body)).toMatchObject({ details: [{ type: 'google.rpc.ErrorInfo' }] });
  });
});
