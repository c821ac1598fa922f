/** Webhooks of jobs from forms, while NATS and the gateway start again between a job's end and its delivery. */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { quadrants, startMesh, type TestMesh } from '@imagemesh/testkit';
import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';

const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
/** A delivery whose word was lost comes again after a minute. */
const patience = { timeout: 90_000, interval: 50 };

interface Post {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** The status it was answered with; undefined while it waits. */
  answered?: number;
}

/** A parse boundary: what the HTTP side answers here. */
interface Answer {
  readonly image_id: string;
  readonly task_id: string;
  readonly state: string;
  readonly error: object;
}

let mesh: TestMesh;
let imageId: string;
const closing: (() => void)[] = [];

beforeAll(async () => {
  mesh = await startMesh({
    nats: true,
    replicas: { resize: 1, filter: 1 },
    env: { WEBHOOK_SECRETS: secret, WEBHOOK_ALLOW_PRIVATE: 'true', WEBHOOK_ALLOW_HTTP: 'true' },
  });
  const body = await quadrants({ width: 64, height: 64 });
  const reply = await fetch(`${mesh.gatewayUrl}/upload`, { method: 'POST', body: new Uint8Array(body) });
  ({ image_id: imageId } = (await reply.json()) as Answer);
});
afterEach(() => {
  for (const close of closing.splice(0)) close();
});
afterAll(() => mesh?.stop());

/** Answers each post as `answer` says at that moment; a status that comes later holds it back. */
async function receive(answer: (at: number) => number | Promise<number>) {
  const posts: Post[] = [];
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const post: Post = { headers: request.headers, body: Buffer.concat(parts).toString() };
    posts.push(post);
    const status = await answer(posts.length);
    response.writeHead(status).end(() => {
      post.answered = status;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close().closeAllConnections());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, posts };
}

async function postForm(kind: string, fields: Record<string, string>) {
  const form = new URLSearchParams({ image: imageId, ...fields });
  const reply = await fetch(`${mesh.gatewayUrl}/${kind}`, { method: 'POST', body: form });
  return { status: reply.status, body: (await reply.json()) as Answer };
}

/** What the receiver took, as far as its signature holds. */
function taken(posts: readonly Post[]): unknown[] {
  const receiver = new Webhook(secret);
  return posts
    .filter(({ answered }) => answered === 200)
    .map(({ body, headers }) => {
      const names = ['webhook-id', 'webhook-timestamp', 'webhook-signature'];
      return receiver.verify(body, Object.fromEntries(names.map((name) => [name, String(headers[name])])));
    });
}

it('is delivered, once, though NATS was killed and started again after the job had ended', async () => {
  let release: (status: number) => void = () => {};
  const held = new Promise<number>((resolve) => {
    release = resolve;
  });
  const { url, posts } = await receive((at) => (at === 1 ? held : 200));
  const { status, body } = await postForm('filter', { filter: 'blur', webhook_url: url });
  expect([status, body.state]).toEqual([202, 'JOB_STATE_QUEUED']);
  await expect.poll(() => posts.length, patience).toBe(1);
  await mesh.nats?.kill();
  await mesh.nats?.restart();
  release(503);
  await expect.poll(() => taken(posts).length, patience).toBe(1);
  expect(taken(posts)).toEqual([
    expect.objectContaining({ type: 'imagemesh.job.completed', id: `job.completed.${body.task_id}` }),
  ]);
  expect(new Set(posts.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
});

it('is tried on by the gateway that comes after the one that began', async () => {
  let status = 503;
  const { url, posts } = await receive(() => status);
  const { body } = await postForm('resize', { width: '16', webhook_url: url });
  await expect.poll(() => posts.length, patience).toBeGreaterThanOrEqual(2);
  await mesh.kill('gateway', 'SIGTERM');
  const before = posts.length;
  expect(taken(posts)).toEqual([]);
  status = 200;
  await mesh.restart('gateway');
  await expect.poll(() => taken(posts).length, patience).toBe(1);
  expect(posts.length).toBeGreaterThan(before);
  expect(taken(posts)).toEqual([expect.objectContaining({ subject: body.task_id })]);
});

it.each([
  ['ftp://example.org/hook', 'must begin with https://'],
  ['http://user:secret@example.org/hook', 'must not hold a user or a password'],
])('%s in a form is refused by the name of its field, and nothing is begun', async (url, description) => {
  const { status, body } = await postForm('crop', { width: '8', webhook_url: url });
  expect(status).toBe(400);
  expect(body.error).toMatchObject({
    reason: 'INVALID_REQUEST',
    details: { violations: [{ field: 'webhook_url', description }] },
  });
});
