/**
 * Receives webhooks, and believes those that are signed (https://www.standardwebhooks.com):
 *
 *     WEBHOOK_SECRET=whsec_… PORT=9000 node --import tsx examples/receive-webhooks.ts
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { env } from 'node:process';

const { WEBHOOK_SECRET = '', PORT = '9000' } = env;
const secret = Buffer.from(WEBHOOK_SECRET.replace(/^whsec_/, ''), 'base64');
if (secret.length < 24) throw new Error('WEBHOOK_SECRET must be one of those of the gateway');
const maxBytes = 4 * 1024 ** 2;
const maxAgeSeconds = 300;
/** Deliveries may be repeated: what was done is not done again. A real receiver keeps this with its data. */
const done = new Set<string>();

const server = createServer(async (request, response): Promise<void> => {
  try {
    const body = await read(request);
    const id = String(request.headers['webhook-id']);
    if (!isSigned(request, id, body)) {
      response.writeHead(401).end();
      return;
    }
    if (!done.has(id)) {
      const event = JSON.parse(body.toString());
      console.log(`${event.type} ${event.subject} ${id}`);
      done.add(id);
    }
    // Soon, and only once the work is done or safely queued: anything but 2xx brings it again.
    response.writeHead(204).end();
  } catch {
    response.writeHead(400).end();
  }
});
server.listen(Number(PORT), '127.0.0.1', () => {
  const address = server.address();
  console.log(`listening on ${typeof address === 'object' ? address?.port : address}`);
});

async function read(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > maxBytes) throw new Error('too large');
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** One of the signatures is by our secret, over this very id, time and body, and the time is about now. */
function isSigned({ headers }: IncomingMessage, id: string, body: Buffer): boolean {
  const time = String(headers['webhook-timestamp']);
  if (!(Math.abs(Date.now() / 1000 - Number(time)) < maxAgeSeconds)) return false;
  const wanted = createHmac('sha256', secret).update(`${id}.${time}.`).update(body).digest();
  return String(headers['webhook-signature'])
    .split(' ')
    .some((signature) => {
      const given = Buffer.from(signature.replace(/^v1,/, ''), 'base64');
      return given.length === wanted.length && timingSafeEqual(given, wanted);
    });
}
