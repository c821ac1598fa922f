import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@imagemesh/observe';
import { generate } from 'selfsigned';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTlsFiles } from './tls-files.ts';

const options = {
  setting: 'TLS_CERT_FILE',
  caSetting: 'TLS_CLIENT_CA_FILE',
  log: createLogger({ name: 'test', level: 'silent' }),
};

let folder: string;
let made: { readonly cert: string; readonly private: string };
let paths: { readonly cert: string; readonly key: string; readonly ca: string };
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imagemesh-tls-files-'));
  made = await generate([{ name: 'commonName', value: 'test' }], { algorithm: 'sha256', keyType: 'ec' });
  paths = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem'), ca: join(folder, 'ca.pem') };
  await writeFile(paths.cert, made.cert);
  await writeFile(paths.key, made.private);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function openWith(ca: string): Promise<void> {
  await writeFile(paths.ca, ca);
  (await openTlsFiles(paths, options)).close();
}

describe('authorities', () => {
  it('may be several, with words between them', async () => {
    await openWith(`the old one\n${made.cert}\nand the new one\n${made.cert}`);
  });

  it.each([
    ['no certificate', () => 'nothing'],
    ['nothing', () => ''],
    ['half a certificate', () => made.cert.slice(0, made.cert.length / 2)],
    ['half a certificate after a whole one', () => made.cert + made.cert.slice(0, made.cert.length / 2)],
    ['a damaged certificate', () => made.cert.replace(/\n[A-Za-z0-9+/]{8}/, '\nAAAAAAAA')],
  ])('are refused as %s', async (_what, content) => {
    await expect(openWith(content())).rejects.toThrow(`TLS_CLIENT_CA_FILE: ${paths.ca} has no certificates`);
  });
});
