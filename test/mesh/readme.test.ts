/** The README's commands, run as pasted against a real mesh on another port. */
import { execFile } from 'node:child_process';
import { access, copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { decode, startMesh, type TestMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const hasGrpcurl = await isOnPath('grpcurl');

let mesh: TestMesh;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imagemesh-readme-'));
  const signingKeys = join(folder, 'signing-keys');
  await writeFile(signingKeys, `k1 ${'5a'.repeat(32)}\n`);
  mesh = await startMesh({ nats: true, env: { SIGNING_KEYS_FILE: signingKeys } });
  await mkdir(join(folder, 'examples'));
  await copyFile(join(root, 'examples/sample.jpg'), join(folder, 'examples/sample.jpg'));
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
});
afterAll(async () => {
  await mesh?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Checks that the README shows the file, and runs it in the folder. */
async function runExample(name: string): Promise<string> {
  const script = await readFile(join(root, 'examples', name), 'utf8');
  expect(await readFile(join(root, 'README.md'), 'utf8')).toContain(`\`\`\`sh\n${script}\`\`\``);
  const here = script
    .replaceAll('127.0.0.1:8080', mesh.gatewayAddress)
    // This folder has no package.json.
    .replaceAll(
      'npm run -s sign -- ',
      `node node_modules/@imagemesh/cli/dist/main.js sign --base http://${mesh.gatewayAddress} `,
    );
  const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', here], { cwd: folder, timeout: 50_000 });
  return stdout;
}

describe('the README', () => {
  it('uploads, resizes, polls and fetches by curl', async () => {
    const output = await runExample('curl-job.sh');
    expect(output).toContain('JOB_STATE_SUCCEEDED');
    expect(await decode(await readFile(join(folder, 'small.jpg')))).toMatchObject({
      width: 400,
      height: 267,
    });
  });

  it('transforms by buf curl, by reflection', async () => {
    await runExample('buf-curl-transform.sh');
    await expectEdges();
  });

  it('transforms by Connect and gRPC-Web', async () => {
    await runExample('buf-curl-web.sh');
    await expectEdges('edges-connect.png');
    await expectEdges('edges-grpcweb.png');
  });

  it('transforms by curl in one line', async () => {
    await runExample('curl-transform.sh');
    const { width, height } = await decode(await readFile(join(folder, 'small.webp')));
    expect({ width, height }).toEqual({ width: 300, height: 200 });
  });

  it('shows an image by a signed URL', async () => {
    const [, url = ''] = /src="([^"]+)"/.exec(await runExample('img.sh')) ?? [];
    const reply = await fetch(url, { headers: { accept: 'image/avif,image/webp,*/*' } });
    expect([reply.status, reply.headers.get('content-type')]).toEqual([200, 'image/avif']);
  });

  // grpcurl is in no package registry that a test could take it from; buf curl makes the same call everywhere.
  it.runIf(hasGrpcurl)('transforms by grpcurl, by reflection', async () => {
    await rm(join(folder, 'edges.png'), { force: true });
    await runExample('grpcurl-transform.sh');
    await expectEdges();
  });

  it('shows the grpcurl example as it is in examples/', async () => {
    const script = await readFile(join(root, 'examples/grpcurl-transform.sh'), 'utf8');
    expect(await readFile(join(root, 'README.md'), 'utf8')).toContain(`\`\`\`sh\n${script}\`\`\``);
  });
});

async function expectEdges(name = 'edges.png'): Promise<void> {
  const { data, width, height } = await decode(await readFile(join(folder, name)));
  expect({ width, height }).toEqual({ width: 300, height: 200 });
  expect(new Set(data)).toEqual(new Set([0, 255]));
}

async function isOnPath(program: string): Promise<boolean> {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const found = await Promise.allSettled(folders.map((folder) => access(join(folder, program))));
  return found.some(({ status }) => status === 'fulfilled');
}
