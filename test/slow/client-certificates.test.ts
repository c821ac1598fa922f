/** TLS both ways on the public port: only who has a certificate of the authority gets a word, also after that changes. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connect, type TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { startMesh, type TestMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type Authority, createAuthority } from './certificates.ts';

const waiting = { timeout: 20_000, interval: 100 };

let folder: string;
let authority: Authority;
let later: Authority;
let mesh: TestMesh;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imagemesh-client-certificates-'));
  [authority, later] = await Promise.all([createAuthority(), createAuthority()]);
  for (const name of ['server', 'client']) await authority.issue(join(folder, name), 'localhost');
  await later.issue(join(folder, 'later'), 'localhost');
  await (await createAuthority()).issue(join(folder, 'stranger'), 'localhost');
  await writeFile(join(folder, 'clients.pem'), authority.cert);
  mesh = await startMesh({
    replicas: { resize: 0, filter: 0 },
    env: {
      TLS_CERT_FILE: join(folder, 'server/cert.pem'),
      TLS_KEY_FILE: join(folder, 'server/key.pem'),
      TLS_CLIENT_CA_FILE: join(folder, 'clients.pem'),
    },
  });
}, 60_000);
afterAll(async () => {
  await mesh?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** A connection with the certificate of that name, or none; a session of an earlier one may be taken up again. */
async function dial(name: string | undefined, session?: Buffer): Promise<TLSSocket> {
  const read = (file: string) => readFile(join(folder, name ?? '', file));
  const pair = name === undefined ? {} : { cert: await read('cert.pem'), key: await read('key.pem') };
  return connect({
    host: '127.0.0.1',
    port: Number(mesh.gatewayAddress.split(':')[1]),
    ca: authority.cert,
    servername: 'localhost',
    ALPNProtocols: ['http/1.1'],
    ...pair,
    ...(session !== undefined && { session }),
  });
}

/** All that comes back for a request, or the code of the error. */
async function ask(socket: TLSSocket): Promise<string> {
  const failed = new Promise<string>((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
  });
  socket.write('GET /openapi.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
  return Promise.race([text(socket), failed]);
}

const served = /^HTTP\/1\.1 200 /;
/** In TLS 1.3 a client is told so once it has said its first word, or the connection is reset under that. */
const refused = /^(ERR_SSL_.*|ECONNRESET|EPIPE|)$/;

it('serves clients with a certificate', async () => {
  expect(await ask(await dial('client'))).toMatch(served);
});

it.each(['grpc', 'grpcweb', 'connect'])('serves them over %s', async (protocol) => {
  const pem = (name: string) => join(folder, name);
  const files = ['--cacert', pem('server/ca.pem'), '--cert', pem('client/cert.pem')];
  const url = `https://${mesh.gatewayAddress}/imagemesh.v1.ImageService/ListOperations`;
  const args = [
    'buf',
    'curl',
    '--protocol',
    protocol,
    ...files,
    '--key',
    pem('client/key.pem'),
    '-d',
    '{}',
    url,
  ];
  const { stdout } = await promisify(execFile)('npx', args, { timeout: 30_000 });
  expect(JSON.parse(stdout)).toHaveProperty('operations');
});

it.each([
  ['without one', undefined],
  ['with one of another authority', 'stranger'],
])('answers nobody %s', async (_what, name) => {
  expect(await ask(await dial(name))).toMatch(refused);
});

it('takes clients of the authority that the file names now, and no others, whatever they had before', async () => {
  const staying = await dial('client');
  const [session] = (await once(staying, 'session')) as [Buffer];
  expect(await ask(await dial('client', session))).toMatch(served);
  expect(await ask(await dial('later'))).toMatch(refused);
  await writeFile(join(folder, 'clients.pem'), later.cert);
  await vi.waitFor(async () => expect(await ask(await dial('later'))).toMatch(served), waiting);
  expect(await ask(await dial('client'))).toMatch(refused);
  expect(await ask(await dial('client', session))).toMatch(refused);
  // A connection that was let in stays.
  expect(await ask(staying)).toMatch(served);
});

it('keeps what it has while a file is broken', async () => {
  await writeFile(join(folder, 'clients.pem'), 'no certificate');
  await vi.waitFor(
    () =>
      expect(mesh.logs('gateway').some((line) => line.includes('certificates not read again'))).toBe(true),
    waiting,
  );
  expect(await ask(await dial('later'))).toMatch(served);
  expect(await ask(await dial(undefined))).toMatch(refused);
});
