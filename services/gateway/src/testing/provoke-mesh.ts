/** What is wrong behind the gateway: in the mesh, in the store, in time. For tests. */
import { writeFile } from 'node:fs/promises';
import http2 from 'node:http2';
import { join } from 'node:path';
import { BalancerService, ImageService, UploadService } from '@imagemesh/api';
import type { ClientReason } from '@imagemesh/rpc';
import { askGrpc, type ErrorReply, type Headers, type HttpCall, type RpcCall } from './error-replies.ts';
import { fillUpload, hasCome, newImage, png, type TestGateways, upload } from './gateways.ts';
import { byRpc, byTransform, meshSays, type Provokers } from './provoke.ts';

const { transform, getImage } = ImageService.method;
const { finishUpload } = UploadService.method;
const { drainReplica, listReplicas } = BalancerService.method;

export function meshProvokers(gateways: () => TestGateways) {
  const plain = () => gateways().plain;
  const said = (word: string) => byTransform(plain, png, { headers: meshSays(word) });

  /** An image whose bytes in the store are others than it says, of a gateway that must read them itself. */
  async function damaged(): Promise<RpcCall<typeof transform>> {
    const { elsewhere, folder } = gateways();
    const id = await upload(elsewhere);
    await writeFile(join(folder, 'elsewhere/store/images', id.slice(0, 2), id), newImage());
    const source = { source: { case: 'imageId', value: id } } as const;
    return { method: transform, request: { source }, headers: meshSays('STORE_NOT_SHARED') };
  }

  const watermark = async () => {
    const value = { imageId: await upload(plain()) };
    const source = { source: { case: 'data', value: png } } as const;
    const operations = [{ operation: { case: 'watermark', value } }] as const;
    return {
      method: transform,
      request: { source, operations: [...operations] },
      headers: meshSays('STORE_NOT_SHARED'),
    };
  };

  return {
    QUEUE_FULL: said('QUEUE_FULL'),
    NO_REPLICA: said('NO_REPLICA'),
    REPLICA_LOST: said('REPLICA_LOST'),
    POISONED: said('POISONED'),
    INTERNAL: said('pixels'),
    DEADLINE_EXCEEDED: byTransform(plain, png, {
      headers: { ...meshSays('never'), 'grpc-timeout': '200m', 'connect-timeout-ms': '200' },
    }),
    STORE_NOT_SHARED: byRpc(plain, watermark),
    BLOB_DAMAGED: byRpc(() => gateways().elsewhere, damaged),
    STORE_FULL: byRpc(
      () => gateways().full,
      async () => ({
        method: finishUpload,
        request: { uploadId: await fillUpload(gateways().full, newImage()) },
      }),
      {
        method: 'POST',
        path: '/upload',
        body: newImage(),
      },
    ),
    STORE_FAILED: byRpc(() => gateways().broken, readOfImage(), routeOfImage()),
    STORE_UNAVAILABLE: byRpc(() => gateways().cut, readOfImage(), routeOfImage()),
    REPLICA_NOT_FOUND: byRpc(plain, { method: drainReplica, request: { replicaId: 'none' } }),
    BALANCER_UNREACHABLE: byRpc(() => gateways().alone, { method: listReplicas, request: {} }),
    SHUTTING_DOWN: {
      grpc: () =>
        whileStopping(gateways(), (address, headers) => askGrpc(address, { ...inlineImage(), headers })),
      http: [() => whileStopping(gateways(), askHttp2)],
    },
  } satisfies Partial<Provokers<ClientReason>>;
}

const inlineImage = () => ({
  method: transform,
  request: { source: { source: { case: 'data', value: png } } } as const,
});
const readOfImage = (): RpcCall<typeof getImage> => ({
  method: getImage,
  request: { imageId: '0'.repeat(64) },
});
const routeOfImage = (): HttpCall => ({ path: `/images/${'0'.repeat(64)}` });

let stopped = 0;

/** One call is under way when the gateway is told to stop, and is still there when its grace is over. */
async function whileStopping(
  { start, seen }: TestGateways,
  ask: (address: string, headers: Headers) => Promise<ErrorReply>,
): Promise<ErrorReply> {
  stopped += 1;
  const headers = meshSays(`never-${stopped}`);
  const gateway = await start(`stopping-${stopped}`);
  const reply = ask(gateway.address, headers);
  await hasCome(seen, headers);
  const closed = gateway.close(400);
  try {
    return await reply;
  } finally {
    await closed;
  }
}

/** A status and headers are all there is time for: the code is the status, the reason a header. */
async function askHttp2(address: string, headers: Headers): Promise<ErrorReply> {
  const session = http2.connect(`http://${address}`).on('error', () => {});
  try {
    const stream = session.request({ ':method': 'POST', ':path': '/transform', ...headers });
    stream.end(png);
    const reply = await new Promise<http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader>(
      (resolve, reject) => {
        stream.once('response', resolve).once('error', reject);
      },
    );
    return {
      via: 'HTTP',
      code: reply[':status'] === 503 ? 'unavailable' : undefined,
      status: reply[':status'],
      reasons: [String(reply['im-reason'])],
      domain: undefined,
      hasRetry: Number(reply['retry-after'] ?? 0) > 0,
    };
  } finally {
    session.destroy();
  }
}
