/** Everything locked: keys, TLS on the public port, TLS both ways inside, NATS with a password over TLS, a join token. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http2 from 'node:http2';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { addKey } from '@imagemesh/keys';
import { createLogger } from '@imagemesh/observe';
import { createSessionPool, openMeshTls } from '@imagemesh/rpc';
import { photoLike, startMesh, startNatsWith, type TestMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type Authority, createAuthority } from './certificates.ts';

const run = promisify(execFile);
const natsPassword = 'nats-password-of-the-test';
const joinToken = 'join-token-of-the-test';
const waiting = { timeout: 20_000, interval: 100 };

let folder: string;
let authority: Authority;
let nats: Awaited<ReturnType<typeof startNatsWith>>;
let mesh: TestMesh;
let key: string;
let image: Buffer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imagemesh-secured-'));
  authority = await createAuthority();
  for (const name of ['imagemesh', 'localhost', 'elsewhere']) await authority.issue(join(folder, name), name);
  await (await createAuthority()).issue(join(folder, 'strangers'), 'imagemesh');
  key = await addKey(join(folder, 'keys.json'), {
    id: 'alice',
    owner: 'alice',
    scopes: ['transform', 'upload', 'read', 'jobs'],
    limits: {},
  });
  const pem = (name: string) => join(folder, 'localhost', name);
  nats = await startNatsWith([
    `authorization { user: "mesh", password: "${natsPassword}" }`,
    `tls { cert_file: ${JSON.stringify(pem('cert.pem'))}, key_file: ${JSON.stringify(pem('key.pem'))} }`,
  ]);
  mesh = await startMesh({
    env: {
      LOG_LEVEL: 'trace',
      API_KEYS_FILE: join(folder, 'keys.json'),
      TLS_CERT_FILE: pem('cert.pem'),
      TLS_KEY_FILE: pem('key.pem'),
      MESH_TLS_DIR: join(folder, 'imagemesh'),
      JOIN_TOKEN: joinToken,
      NATS_URL: `nats://${nats.address}`,
      NATS_USER: 'mesh',
      NATS_PASSWORD: natsPassword,
      NATS_TLS_CA_FILE: pem('ca.pem'),
    },
    natsUrl: `nats://${nats.address}`,
  });
  image = await photoLike(640, 480);
}, 60_000);
afterAll(async () => {
  await mesh?.stop();
  await nats?.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Reply {
  readonly status: number;
  readonly body: Buffer;
  readonly json: Record<string, unknown>;
}

/** Over HTTP/1.1 with a key. */
async function call(method: string, path: string, body?: string | Buffer, type?: string): Promise<Reply> {
  const request = https.request(`https://${mesh.gatewayAddress}${path}`, {
    method,
    ca: authority.cert,
    headers: { authorization: `Bearer ${key}`, ...(type !== undefined && { 'content-type': type }) },
  });
  request.end(body);
  const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage];
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part);
  const bytes = Buffer.concat(parts);
  const isJson = response.headers['content-type']?.includes('json') === true;
  return { status: response.statusCode ?? 0, body: bytes, json: isJson ? JSON.parse(bytes.toString()) : {} };
}

function connectH2(): http2.ClientHttp2Session {
  const session = http2.connect(`https://${mesh.gatewayAddress}`, { ca: authority.cert });
  session.on('error', () => {});
  return session;
}

async function statusOverH2(session: http2.ClientHttp2Session): Promise<number> {
  const stream = session.request({ ':path': '/images/0', 'x-api-key': key });
  const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders & { ':status': number }];
  stream.close();
  return headers[':status'];
}

it('uploads, runs a job over both kinds of replica and fetches its result, over HTTPS', async () => {
  const { status, json } = await call('POST', '/upload', image);
  expect(status).toBe(201);
  const variants = [{ operations: [{ resize: { width: 100 } }, { blur: {} }] }];
  const request = JSON.stringify({ source: { imageId: json.image_id }, variants });
  const { job } = (await call('POST', '/imagemesh.v1.JobService/CreateJob', request, 'application/json'))
    .json as { job: { id: string } };
  const results = await vi.waitFor(async () => {
    const reply = await call('GET', `/jobs/${job.id}`);
    expect(reply.json.state).toBe('JOB_STATE_SUCCEEDED');
    return reply.json.results as { url: string; width: number }[];
  }, waiting);
  expect(results[0]?.width).toBe(100);
  expect((await call('GET', results[0]?.url ?? '')).status).toBe(200);
});

it.each(['grpc', 'grpcweb', 'connect'])('serves buf curl over %s, with reflection', async (protocol) => {
  const body = JSON.stringify({
    source: { data: image.toString('base64') },
    operations: [{ resize: { width: 9 } }],
  });
  const url = `https://${mesh.gatewayAddress}/imagemesh.v1.ImageService/Transform`;
  const tls = ['--cacert', join(folder, 'localhost/ca.pem')];
  const args = ['buf', 'curl', '--protocol', protocol, ...tls, '-H', `x-api-key: ${key}`, '-d', body, url];
  const { stdout } = await run('npx', args, { timeout: 30_000 });
  expect(JSON.parse(stdout)).toMatchObject({ info: { width: 9 } });
});

it('speaks no HTTP in clear, and HTTP/2 only to who asked for it', async () => {
  await expect(fetch(`http://${mesh.gatewayAddress}/`)).rejects.toThrow();
  const socket = connect({ port: Number(mesh.gatewayAddress.split(':')[1]), ca: authority.cert });
  await once(socket, 'secureConnect');
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  await once(socket, 'close');
});

it('shows a new certificate to new connections, and keeps those there are', async () => {
  const before = connectH2();
  expect(await statusOverH2(before)).toBe(404);
  const serialOf = async () => {
    const session = connectH2();
    await once(session, 'connect');
    // A TLS connection, as asked for.
    const { serialNumber } = (session.socket as TLSSocket).getPeerCertificate();
    session.destroy();
    return serialNumber;
  };
  const old = await serialOf();
  await authority.issue(join(folder, 'localhost'), 'localhost');
  await vi.waitFor(async () => expect(await serialOf()).not.toBe(old), waiting);
  expect(await statusOverH2(before)).toBe(404);
  before.close();
});

it('goes on when the certificates inside are replaced', async () => {
  await authority.issue(join(folder, 'imagemesh'), 'imagemesh');
  await vi.waitFor(
    () => expect(mesh.logs('balancer-1').some((line) => line.includes('certificates read again'))).toBe(true),
    waiting,
  );
  await mesh.addReplica('resize');
  await mesh.allJoined();
  const body = JSON.stringify({
    source: { data: image.toString('base64') },
    operations: [{ resize: { width: 9 } }],
  });
  const reply = await call('POST', '/imagemesh.v1.ImageService/Transform', body, 'application/json');
  expect(reply.status).toBe(200);
});

it.each([
  ['of another authority', 'strangers'],
  ['for another name', 'elsewhere'],
])('lets nobody near the balancer with a certificate %s', async (_what, name) => {
  const log = createLogger({ name: 'test', level: 'silent' });
  const options = {
    cert: await readFile(join(folder, name, 'cert.pem')),
    key: await readFile(join(folder, name, 'key.pem')),
  };
  const [host = '', port] = (mesh.balancerAddresses[0] ?? '').split(':');
  const socket = connect({
    host,
    port: Number(port),
    ...options,
    ca: authority.cert,
    servername: 'imagemesh',
    ALPNProtocols: ['h2'],
  });
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('close', resolve));
  const member = await openMeshTls(join(folder, 'imagemesh'), { log });
  const pool = createSessionPool(mesh.balancerAddresses[0] ?? '', { tls: member });
  await expect(pool.connect()).resolves.toBeUndefined();
  await pool.close();
  member.close();
});

it('has no secret in any log, nor in --print-config', async () => {
  const secrets = [key.slice(-43), natsPassword, joinToken, 'PRIVATE KEY'];
  const names = ['gateway', 'balancer-1', ...mesh.replicaNames()];
  for (const name of names) {
    expect(mesh.logs(name).length, name).toBeGreaterThan(0);
    const text = mesh.logs(name).join('\n');
    for (const secret of secrets)
      expect(text.includes(secret), `${secret} in the log of ${name}`).toBe(false);
  }
  for (const service of ['gateway', 'balancer', 'resize']) {
    const { stdout } = await run(process.execPath, [`services/${service}/dist/main.js`, '--print-config'], {
      env: {
        ...process.env,
        JOIN_TOKEN: joinToken,
        NATS_URL: `nats://mesh:${natsPassword}@${nats.address}`,
        NATS_PASSWORD: natsPassword,
        NATS_TOKEN: natsPassword,
      },
    });
    for (const secret of secrets) expect(stdout.includes(secret), `${secret} of ${service}`).toBe(false);
  }
});
