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
    env: { MAX_INPUT_BYTES: '1MiB', NO_REPLICA_GRACE_MS: '600000' },
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
