/** The web page: a few built files, read into memory at the start, each as it was compressed when it was built. */
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { extname, join, relative, sep } from 'node:path';
import type { Route } from './route.ts';

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.webp': 'image/webp',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
};

const maxFiles = 256;
const maxTotalBytes = 16 * 1024 * 1024;

const contentPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/** What files were compressed with ahead (web/vite.config.ts), the smallest first. */
const encodings = [
  { name: 'br', suffix: '.br' },
  { name: 'gzip', suffix: '.gz' },
] as const;

interface PageFile {
  readonly bytes: Buffer;
  /** The same in other encodings, the smallest first. */
  readonly encoded: readonly { readonly name: string; readonly bytes: Buffer }[];
  readonly type: string;
  readonly digest: string;
  /** Built with a digest in its name: never changes. */
  readonly isImmutable: boolean;
}

/** Routes to the files of the folder, index.html at "/"; none where there is no such folder. */
export async function pageRoutes(folder: string): Promise<readonly Route[]> {
  const files = await loadFiles(folder);
  return [...files].map(([path, file]): Route => {
    const escaped = path.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    return {
      method: 'GET',
      pattern: new RegExp(`^${escaped}$`),
      name: 'page',
      access: 'open',
      async serve({ request, response }) {
        const encoded = file.encoded.find(({ name }) => accepts(request.headers['accept-encoding'], name));
        const bytes = encoded?.bytes ?? file.bytes;
        const etag = encoded === undefined ? `"${file.digest}"` : `"${file.digest}-${encoded.name}"`;
        const headers = {
          etag,
          'content-type': file.type,
          'cache-control': file.isImmutable ? 'public, max-age=31536000, immutable' : 'no-cache',
          'content-security-policy': contentPolicy,
          'x-content-type-options': 'nosniff',
          'referrer-policy': 'no-referrer',
          'cross-origin-opener-policy': 'same-origin',
          ...(file.encoded.length > 0 && { vary: 'accept-encoding' }),
        };
        if (request.headers['if-none-match'] === etag) {
          response.writeHead(304, headers).end();
          return;
        }
        response.writeHead(200, {
          ...headers,
          'content-length': String(bytes.length),
          ...(encoded !== undefined && { 'content-encoding': encoded.name }),
        });
        response.end(request.method === 'HEAD' ? undefined : bytes);
      },
    };
  });
}

async function loadFiles(folder: string): Promise<Map<string, PageFile>> {
  const files = new Map<string, PageFile>();
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  let totalBytes = 0;
  for (const name of names.sort()) {
    const type = types[extname(name)];
    const file = join(folder, name);
    if (type === undefined || files.size >= maxFiles) continue;
    const { size } = await stat(file);
    totalBytes += size;
    if (totalBytes > maxTotalBytes)
      throw new Error(`the files in ${folder} have more than ${maxTotalBytes} bytes`);
    const bytes = await readFile(file);
    const path = `/${relative(folder, file).split(sep).join('/')}`;
    const digest = createHash('sha256').update(bytes).digest('hex').slice(0, 32);
    const encoded = await loadEncoded(file, names, name);
    const page = { bytes, encoded, type, digest, isImmutable: path.startsWith('/assets/') };
    files.set(path, page);
    if (path === '/index.html') files.set('/', page);
  }
  return files;
}

async function loadEncoded(
  file: string,
  names: readonly string[],
  name: string,
): Promise<PageFile['encoded']> {
  const there = encodings.filter(({ suffix }) => names.includes(name + suffix));
  return Promise.all(
    there.map(async (encoding) => ({ name: encoding.name, bytes: await readFile(file + encoding.suffix) })),
  );
}

/** Whether a client takes an encoding (RFC 9110, 12.5.3); one that says nothing gets the file as it is. */
export function accepts(header: string | string[] | undefined, encoding: string): boolean {
  return String(header ?? '')
    .split(',')
    .map((item) =>
      item
        .trim()
        .toLowerCase()
        .split(/\s*;\s*q=/),
    )
    .some(([name, weight = '1']) => name === encoding && Number(weight) > 0);
}
