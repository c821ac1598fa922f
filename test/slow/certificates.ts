/** Certificates made for a test: an authority, and what it signs. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generate } from 'selfsigned';

export interface Authority {
  readonly cert: string;
  /** Writes ca.pem, cert.pem and key.pem for the name, and 127.0.0.1, into the folder. */
  issue(folder: string, name: string): Promise<void>;
}

const usage = { algorithm: 'sha256', keyType: 'ec' } as const;

export async function createAuthority(): Promise<Authority> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'test authority' }], {
    ...usage,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, critical: true },
    ],
  });
  return {
    cert,
    async issue(folder, name) {
      const made = await generate([{ name: 'commonName', value: name }], {
        ...usage,
        ca: { key, cert },
        extensions: [
          { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
          {
            name: 'subjectAltName',
            altNames: [
              { type: 2, value: name },
              { type: 7, ip: '127.0.0.1' },
            ],
          },
        ],
      });
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, 'ca.pem'), cert);
      await writeFile(join(folder, 'key.pem'), made.private, { mode: 0o600 });
      await writeFile(join(folder, 'cert.pem'), made.cert);
    },
  };
}
