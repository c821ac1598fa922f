/** Every error of docs/errors.md that a client can get, from a real gateway: a new reason without a provoker does not compile. */
import {
  type ClientReason,
  ERROR_REASONS,
  HTTP_REASONS,
  INNER_REASONS,
  type InnerReason,
  isErrorReason,
  isInnerReason,
} from '@imagemesh/rpc';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectedReply } from '../testing/error-replies.ts';
import { png, startGateways, type TestGateways } from '../testing/gateways.ts';
import { byTransform, JOB_REASONS, meshSays, type Provokers } from '../testing/provoke.ts';
import { meshProvokers } from '../testing/provoke-mesh.ts';
import { requestProvokers } from '../testing/provoke-requests.ts';

type JobReason = (typeof JOB_REASONS)[number];

let gateways: TestGateways;
beforeAll(async () => {
  gateways = await startGateways();
});
afterAll(() => gateways.close());

const provokers: Provokers<Exclude<ClientReason, JobReason>> = {
  ...requestProvokers(() => gateways),
  ...meshProvokers(() => gateways),
};

it('there is a way to provoke each reason of the table that a client can get', () => {
  const ofClients = Object.keys(ERROR_REASONS).filter((each) => isErrorReason(each) && !isInnerReason(each));
  expect([...Object.keys(provokers), ...JOB_REASONS].sort()).toEqual(ofClients.sort());
});

describe.concurrent.each(Object.entries(provokers))('%s', (name, provoker) => {
  if (!isErrorReason(name)) throw new Error(`${name} is no reason`);

  if ('grpc' in provoker) {
    it('is answered over gRPC as the table says', async () => {
      expect(await provoker.grpc()).toEqual(expectedReply(name, 'gRPC'));
    });
  }

  it('is answered over HTTP as the table says', async () => {
    for (const ask of provoker.http) {
      const reply = await ask();
      expect(reply).toEqual(expectedReply(name, reply.via));
    }
  });
});

it('only what HTTP alone answers is not provoked over gRPC', () => {
  const withoutGrpc = Object.entries(provokers).filter(([, provoker]) => !('grpc' in provoker));
  expect(withoutGrpc.map(([name]) => name).sort()).toEqual([...HTTP_REASONS].sort());
});

it('a status that only the routes of HTTP have is provoked there', async () => {
  await Promise.all(
    Object.entries(provokers).map(async ([name, { http }]) => {
      if (!isErrorReason(name)) throw new Error(`${name} is no reason`);
      if (expectedReply(name, 'HTTP').status === expectedReply(name, 'Connect').status) return;
      const ways = await Promise.all(http.map(async (ask) => (await ask()).via));
      expect(ways, name).toContain('HTTP');
    }),
  );
});

describe.concurrent('what services say to each other', () => {
  const told: Readonly<Record<InnerReason, ClientReason>> = {
    REPLICA_BUSY: 'NO_REPLICA',
    REPLICA_STOPPING: 'NO_REPLICA',
    REPLICA_ID_TAKEN: 'INTERNAL',
    JOIN_REFUSED: 'INTERNAL',
    BLOB_NOT_FOUND: 'STORE_FAILED',
    CANCELLED: 'REPLICA_LOST',
  };

  it.each(INNER_REASONS)('%s reaches no client', async (inner) => {
    const { grpc, http } = byTransform(() => gateways.plain, png, { headers: meshSays(inner) });
    expect(await grpc()).toEqual(expectedReply(told[inner], 'gRPC'));
    for (const ask of http) {
      const reply = await ask();
      expect(reply).toEqual(expectedReply(told[inner], reply.via));
    }
  });
});
