import { type CallOptions, Code, ConnectError } from '@connectrpc/connect';
import { BadRequestSchema, ErrorInfoSchema } from '@imagemesh/api';
import { noisePng, quadrants, startMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { calls, goodResult, type Pictures, type Variation } from './matrix/calls.ts';
import { type CallKind, type Way, ways } from './matrix/ways.ts';

let mesh: Awaited<ReturnType<typeof startMesh>>;
let pictures: Pictures;

beforeAll(async () => {
  mesh = await startMesh({
    replicas: { resize: 1, filter: 0 },
    // Calls that need a filter replica wait, without work, until their deadline passes or their client leaves.
    env: { MAX_INPUT_BYTES: '1MiB', NO_REPLICA_GRACE_MS: '600000', CORS_ORIGINS: 'https://app.example' },
  });
  pictures = { small: await quadrants({ width: 64, height: 32 }), large: await noisePng(2_000_000) };
});
afterAll(async () => {
  await mesh?.stop();
});

let asked = 0;

/** Makes the call under a request id of its own: how it ended, and the id that came back. */
async function attempt(
  way: Way,
  kind: CallKind,
  variation: Variation,
  {
    sendsGzip = false,
    headers = {},
    ...options
  }: CallOptions & { sendsGzip?: boolean; onSent?: () => void } = {},
) {
  const requestId = `matrix-${asked++}`;
  let returnedId: string | null = null;
  const transport = way.open({ url: mesh.gatewayUrl, sendsGzip });
  const call = calls[kind][variation](transport, pictures, {
    ...options,
    headers: { 'x-request-id': requestId, ...headers },
    onHeader: (received) => {
      returnedId = received.get('x-request-id');
    },
  });
  const { result, error } = await call.then(
    (value) => ({ result: value, error: undefined }),
    (thrown: unknown) => ({ result: undefined, error: ConnectError.from(thrown) }),
  );
  const [info] = error?.findDetails(ErrorInfoSchema) ?? [];
  return {
    requestId,
    returnedId: returnedId ?? error?.metadata.get('x-request-id') ?? null,
    result,
    error,
    code: error && Code[error.code],
    reason: info?.reason,
    logged: () => loggedOf(requestId),
  };
}

/** The gateway's line about the call, once there is one. */
async function loggedOf(requestId: string): Promise<{ reason?: string }> {
  const find = () => mesh.logs('gateway').filter((line) => line.includes(`"${requestId}"`));
  await expect.poll(find, { timeout: 10_000 }).toHaveLength(1);
  return JSON.parse(find()[0] ?? '');
}

describe.each(ways)('$name', (way) => {
  describe.each(way.kinds)('%s', (kind) => {
    it('answers', async () => {
      const reply = await attempt(way, kind, 'good');
      expect(reply.error).toBeUndefined();
      expect(reply.result).toEqual(goodResult[kind]);
      expect(reply.returnedId).toBe(reply.requestId);
      await reply.logged();
    });

    it('says what is wrong, with details', async () => {
      const reply = await attempt(way, kind, 'wrong');
      const isUpload = kind === 'client streaming';
      const [badRequest] = reply.error?.findDetails(BadRequestSchema) ?? [];
      expect(reply.code).toBe('InvalidArgument');
      if (!isUpload) expect(badRequest?.fieldViolations[0]?.field).toContain('operations[0].resize.width');
      await expectRefusal(reply, isUpload ? 'DIGEST_MISMATCH' : 'INVALID_REQUEST');
    });

    it('ends at its deadline', async () => {
      const { signal } = new AbortController();
      const reply = await attempt(way, kind, 'endless', { headers: way.timeoutHeader(30), signal });
      expect(reply.code).toBe('DeadlineExceeded');
      await expectRefusal(reply, 'DEADLINE_EXCEEDED');
    });

    it('ends when its client leaves', async () => {
      const leaving = new AbortController();
      let onSent = () => {};
      const sent = new Promise<void>((resolve) => {
        onSent = resolve;
      });
      const running = attempt(way, kind, 'endless', { signal: leaving.signal, onSent });
      // The gateway has the call whole, or reads it.
      if (kind === 'unary') await untilGauge('transforms_in_flight');
      else await Promise.all([sent, untilGauge('requests_in_flight')]);
      leaving.abort();
      const reply = await running;
      expect(reply.code).toBe('Canceled');
      // Node's clients may end their request in the moment before they reset it.
      expect((await reply.logged()).reason).toMatch(/^(CANCELLED|SIZE_MISMATCH)$/);
      await untilGauge('requests_in_flight', 0);
    });

    it('refuses what is too large', async () => {
      const reply = await attempt(way, kind, 'too large');
      if (way.protocol === 'connect-get') {
        // The image is in the URL, which has a limit far below.
        expect(reply.error).toBeDefined();
        return;
      }
      expect(reply.code).toBe('ResourceExhausted');
      await expectRefusal(reply, 'BODY_TOO_LARGE');
    });

    it('refuses what is compressed', async () => {
      const reply = await attempt(way, kind, 'good', { sendsGzip: true });
      expect(reply.code).toBe('Unimplemented');
      await expectRefusal(reply, 'COMPRESSION_UNSUPPORTED');
    });
  });
});

const transform = '/imagemesh.v1.ImageService/Transform';

describe('by plain HTTP', () => {
  const post = (contentType: string) =>
    fetch(`${mesh.gatewayUrl}${transform}`, {
      method: 'POST',
      headers: { 'content-type': contentType },
      body: 'x',
    });

  it('a form is refused with a reason', async () => {
    const reply = await post('application/x-www-form-urlencoded');
    expect(reply.status).toBe(415);
    expect(reply.headers.get('x-request-id')).toMatch(/^[0-9a-f]{32}$/);
    expect(await reply.json()).toMatchObject({ code: 'invalid_argument' });
  });

  it('gRPC-Web text is refused with a reason, and not in JSON, which its clients do not read', async () => {
    const reply = await post('application/grpc-web-text');
    expect(reply.status).toBe(415);
    expect(reply.headers.get('im-reason')).toBe('INVALID_REQUEST');
    expect(await reply.text()).toBe('this content type is not served here\n');
  });

  it('GET is for calls without side effects, and says what caches may keep', async () => {
    const ask = (method: string, message: object) =>
      fetch(
        `${mesh.gatewayUrl}/imagemesh.v1.${method}?connect=v1&encoding=json&message=${encodeURIComponent(JSON.stringify(message))}`,
      );
    const operations = await ask('ImageService/ListOperations', {});
    expect([operations.status, operations.headers.get('cache-control')]).toEqual([
      200,
      'private, max-age=3600',
    ]);
    const replicas = await ask('BalancerService/ListReplicas', {});
    expect([replicas.status, replicas.headers.get('cache-control')]).toEqual([200, 'no-store']);
    const missing = await ask('ImageService/GetImage', { imageId: 'ab'.repeat(32) });
    expect([missing.status, missing.headers.get('cache-control')]).toEqual([404, 'no-store']);
    const drained = await ask('BalancerService/DrainReplica', { replicaId: 'resize-1' });
    expect([drained.status, drained.headers.get('allow')]).toEqual([405, 'POST']);
    expect(await drained.json()).toMatchObject({ code: 'unimplemented', details: [{}] });
    const put = await fetch(`${mesh.gatewayUrl}/imagemesh.v1.ImageService/ListOperations`, { method: 'PUT' });
    expect([put.status, put.headers.get('allow')]).toEqual([405, 'POST, GET']);
  });

  it.each([
    'application/json',
    'application/proto',
    'application/connect+proto',
    'application/grpc-web+proto',
  ])('a page of an allowed origin may call by %s and read what it needs', async (contentType) => {
    const origin = 'https://app.example';
    const asked =
      'content-type, connect-protocol-version, connect-timeout-ms, grpc-timeout, x-grpc-web, x-api-key';
    const preflight = await fetch(`${mesh.gatewayUrl}${transform}`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': asked,
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-origin')).toBe(origin);
    expect(preflight.headers.get('access-control-allow-credentials')).toBeNull();
    expect(Number(preflight.headers.get('access-control-max-age'))).toBeGreaterThan(600);
    const allowed = (preflight.headers.get('access-control-allow-headers') ?? '').toLowerCase().split(', ');
    for (const header of asked.split(', ')) expect(allowed).toContain(header);

    // Refused or not: a page has to be able to read why.
    const reply = await fetch(`${mesh.gatewayUrl}${transform}`, {
      method: 'POST',
      headers: { origin, 'content-type': contentType },
      body: '{}',
    });
    expect(reply.headers.get('access-control-allow-origin')).toBe(origin);
    expect(reply.headers.get('access-control-expose-headers')).toMatch(/Grpc-Status.*X-Request-Id/);
    expect(reply.headers.get('vary')).toContain('Origin');
  });
});

/** The reply has the reason, as every error has one, and the request id; so has the log. */
async function expectRefusal(reply: Awaited<ReturnType<typeof attempt>>, reason: string): Promise<void> {
  expect(reply.reason).toBe(reason);
  expect(reply.returnedId).toBe(reply.requestId);
  expect((await reply.logged()).reason).toBe(reason);
}

async function untilGauge(name: string, expected = 1): Promise<void> {
  const value = async () => {
    const metrics = await (await fetch(`${mesh.process('gateway').adminUrl}/metrics`)).text();
    return Number(new RegExp(`^imagemesh_gateway_${name}\\S* (\\d+)$`, 'm').exec(metrics)?.[1]);
  };
  await expect.poll(value, { timeout: 10_000, interval: 5 }).toBe(expected);
}
