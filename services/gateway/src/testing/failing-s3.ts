/** As much of S3 as a gateway needs to start on it, and then nothing but 503. For tests. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export async function startFailingS3() {
  const objects = new Map<string, Buffer>();
  let isFailing = false;
  const server = createServer(async (request, response) => {
    const key = new URL(request.url ?? '/', 'http://s3').pathname;
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    if (isFailing) return response.writeHead(503).end();
    if (request.method === 'PUT') {
      objects.set(key, Buffer.concat(parts));
      return response.writeHead(200, { etag: '"1"' }).end();
    }
    const object = objects.get(key);
    if (object === undefined) return response.writeHead(404).end();
    return response.writeHead(200, { 'content-length': object.length }).end(object);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // The SDK wants some.
  process.env.AWS_ACCESS_KEY_ID ??= 'test';
  process.env.AWS_SECRET_ACCESS_KEY ??= 'test';
  // A parse boundary: a listening TCP server has one.
  const { port } = server.address() as AddressInfo;
  return {
    url: `s3://bucket/prefix?endpoint=http://127.0.0.1:${port}&region=us-east-1`,
    fail() {
      isFailing = true;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
