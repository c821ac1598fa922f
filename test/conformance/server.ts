/**
 * A server for the Connect conformance suite: its service behind the gateway's own edge. The runner tells on stdin what it
 * wants (ServerCompatRequest), learns on stdout where it is, and ends it by SIGTERM:
 * https://github.com/connectrpc/conformance/blob/main/docs/testing_servers.md.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { createLogger } from '@imagemesh/observe';
import { type Interceptor, MeshError, standardInterceptors } from '@imagemesh/rpc';
import { readConfig } from '../../services/gateway/src/config.ts';
import { startEdge } from '../../services/gateway/src/edge.ts';
import { createEnter } from '../../services/gateway/src/identity/enter.ts';
import { createEnterHttp } from '../../services/gateway/src/identity/enter-http.ts';
import { createConnectionBudgets, createMemoryBudget } from '../../services/gateway/src/memory-budget.ts';
import { openPublicTls } from '../../services/gateway/src/public-tls.ts';
import {
  type ServerCompatRequest,
  ServerCompatRequestSchema,
  ServerCompatResponseSchema,
} from './gen/connectrpc/conformance/v1/server_compat_pb.ts';
import { conformanceRoutes, isTold } from './service.ts';

const defaultMaxBytes = 32 * 1024 * 1024;

const request = await readRequest();
const { env, cert, remove } = await writeCertificates(request);
const log = createLogger({ name: 'conformance', level: 'silent' });
const config = readConfig({ PORT: '0', ...env });
const { calls, connections } = config;
const tls =
  config.publicTls &&
  (await openPublicTls(config.publicTls, { log, handshakeTimeoutMs: connections.headersTimeoutMs }));
await remove();
const budgetOf = createConnectionBudgets(createMemoryBudget(calls.heldBytesMax), calls.connectionBytesMax);
const edge = await startEdge({
  config,
  tls,
  enter: createEnterHttp(createEnter(undefined, { now: Date.now }), budgetOf),
  accessOf: () => 'open',
  routes: conformanceRoutes,
  streams: new Map(),
  interceptors: [keepToldErrors(), ...standardInterceptors({ log })],
  readMaxBytes: request.messageReceiveLimit > 0 ? request.messageReceiveLimit : defaultMaxBytes,
  writeMaxBytes: defaultMaxBytes,
  bodyTimeoutMs: calls.bodyTimeoutMs,
  log,
});
const response = toBinary(
  ServerCompatResponseSchema,
  create(ServerCompatResponseSchema, { host: '127.0.0.1', port: edge.port, pemCert: cert }),
);
const length = Buffer.alloc(4);
length.writeUInt32BE(response.byteLength);
process.stdout.write(Buffer.concat([length, response]));
process.once('SIGTERM', () => {
  tls?.close();
  void edge.close(0);
});

/** A message of at most some KiB behind four bytes of length. The runner leaves the pipe open. */
async function readRequest(): Promise<ServerCompatRequest> {
  let bytes = Buffer.alloc(0);
  for await (const part of process.stdin.iterator({ destroyOnReturn: false })) {
    bytes = Buffer.concat([bytes, part]);
    if (bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt32BE(0)) break;
  }
  process.stdin.unref();
  return fromBinary(ServerCompatRequestSchema, bytes.subarray(4));
}

/** The gateway has its certificates from files. */
async function writeCertificates({ useTls, serverCreds, clientTlsCert }: ServerCompatRequest) {
  if (!useTls || serverCreds === undefined)
    return { env: {}, cert: new Uint8Array(0), remove: async () => {} };
  const folder = await mkdtemp(join(tmpdir(), 'imagemesh-conformance-'));
  const write = async (name: string, bytes: Uint8Array) => {
    await writeFile(join(folder, name), bytes);
    return join(folder, name);
  };
  return {
    env: {
      TLS_CERT_FILE: await write('cert.pem', serverCreds.cert),
      TLS_KEY_FILE: await write('key.pem', serverCreds.key),
      ...(clientTlsCert.length > 0 && { TLS_CLIENT_CA_FILE: await write('ca.pem', clientTlsCert) }),
    },
    cert: serverCreds.cert,
    remove: () => rm(folder, { recursive: true }),
  };
}

/**
 * Errors of the mesh are a closed set, and its interceptors make one of whatever a handler throws. Those of the suite are to
 * arrive as they are, so this, outermost, puts them back; all others stay the edge's.
 */
function keepToldErrors(): Interceptor {
  return (next) => async (call) => {
    try {
      const reply = await next(call);
      return reply.stream ? { ...reply, message: withToldErrors(reply.message) } : reply;
    } catch (error) {
      throw toldIn(error);
    }
  };
}

async function* withToldErrors<Message>(messages: AsyncIterable<Message>): AsyncIterable<Message> {
  try {
    yield* messages;
  } catch (error) {
    throw toldIn(error);
  }
}

function toldIn(error: unknown): unknown {
  const meshError = error instanceof Error ? error.cause : undefined;
  return meshError instanceof MeshError && isTold(meshError.cause) ? meshError.cause : error;
}
