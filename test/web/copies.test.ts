/** What the page copies is run as it is, and makes the same bytes as the page has got. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { photoLike, startMesh, type TestMesh } from '@imagemesh/testkit';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { launchBrowser, type OpenedPage, openPage } from './browser.ts';

const run = promisify(execFile);

/** As quoting goes wrong: an apostrophe, a blank, a dollar, a percent sign. */
const name = "it's 100% a $HOME test.jpg";
const resultName = "it's 100% a $HOME test-result.png";
/** Where Go puts what it installs. */
const path = [process.env.PATH, join(homedir(), 'go', 'bin')].join(delimiter);

let folder: string;
let mesh: TestMesh;
let browser: Browser;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imagemesh-copies-'));
  await writeFile(join(folder, name), await photoLike(400, 200));
  [mesh, browser] = await Promise.all([startMesh({ env: { ALLOW_UNSAFE_URLS: 'true' } }), launchBrowser()]);
});

afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
  await rm(folder, { recursive: true, force: true });
});

const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

/** Each language with the command that takes a snippet in a file. */
const languages = [
  { language: 'curl', tool: 'curl', command: ['bash'], extension: 'sh' },
  { language: 'grpcurl', tool: 'grpcurl', command: ['bash'], extension: 'sh' },
  { language: 'TypeScript', tool: 'node', command: [process.execPath, '--import', tsx], extension: 'mts' },
  { language: 'Python', tool: 'python3', command: ['python3'], extension: 'py' },
] as const;

function isThere(tool: string): boolean {
  return path.split(delimiter).some((folder) => existsSync(join(folder, tool)));
}

async function openWith(query: string, says: string): Promise<OpenedPage> {
  const opened = await openPage(browser, mesh.gatewayUrl, `#/playground?${query}`);
  const { page } = opened;
  await page.getByLabel('Image file').setInputFiles(join(folder, name));
  await page.locator('.facts', { hasText: says }).waitFor();
  await page.locator('.below[aria-busy="false"]').waitFor();
  return opened;
}

/** The bytes of the page's own result. */
async function resultOf({ page }: OpenedPage): Promise<{ bytes: Buffer; file: string }> {
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Download' }).click(),
  ]);
  return { bytes: await readFile(await download.path()), file: download.suggestedFilename() };
}

async function copyOf({ page }: OpenedPage, language: string): Promise<string> {
  if (!(await page.locator('dialog[open]').isVisible()))
    await page.getByRole('button', { name: 'Copy as…' }).click();
  await page.getByRole('radio', { name: language, exact: true }).check();
  return (await page.locator('dialog[open] pre').textContent()) ?? '';
}

describe('a pipeline that a URL can say', () => {
  let opened: OpenedPage;
  let wanted: Buffer;

  beforeAll(async () => {
    const text = encodeURIComponent('50% off, a/b');
    opened = await openWith(
      `ops=resize:width=64/text:text=${text},size=12,color=%23ffcc00/edges&format=FORMAT_PNG&effort=2`,
      '64 × 32',
    );
    const { bytes, file } = await resultOf(opened);
    expect(file).toBe(resultName);
    wanted = bytes;
  });

  afterAll(() => opened?.close());

  for (const { language, tool, command, extension } of languages) {
    test(`as ${language}`, async ({ skip }) => {
      if (!isThere(tool)) skip(`${tool} is not installed`);
      const script = join(folder, `snippet.${extension}`);
      await writeFile(script, await copyOf(opened, language));
      await rm(join(folder, resultName), { force: true });
      const [file, ...args] = command;
      await run(file, [...args, script], { cwd: folder, env: { ...process.env, PATH: path } });
      expect((await readFile(join(folder, resultName))).equals(wanted)).toBe(true);
    });
  }

  test('curl in one line, by POST /transform', async () => {
    const snippet = await copyOf(opened, 'curl');
    expect(snippet).not.toContain('\n');
    expect(snippet).toContain('/transform?ops=resize:64x/text:50%2525%2520off');
  });

  test('as <img>, once the mesh keeps the image', async () => {
    const { page } = opened;
    if (!(await page.locator('dialog[open]').isVisible()))
      await page.getByRole('button', { name: 'Copy as…' }).click();
    await page.getByRole('radio', { name: '<img>', exact: true }).check();
    await page.getByRole('button', { name: 'Upload the image' }).click();
    await page.locator('dialog[open] pre', { hasText: '<img' }).waitFor();
    const html = await copyOf(opened, '<img>');
    expect(html).toMatch(/^<img src="[^"]+\/i\/unsafe\/[^"]+\.png" width="64" height="32" alt="">$/);
    const shown = await page.evaluate(async (text) => {
      document.querySelector('#page')?.insertAdjacentHTML('beforeend', text);
      const image = document.querySelector<HTMLImageElement>('#page > img');
      await image?.decode();
      const response = await fetch(image?.src ?? '');
      return [...new Uint8Array(await response.arrayBuffer())];
    }, html);
    expect(Buffer.from(shown).equals(wanted)).toBe(true);
    expect(opened.errors).toEqual([]);
  });
});

test('curl by JSON where a URL would mean something else', async () => {
  const opened = await openWith('ops=resize:width=48&format=FORMAT_AUTO', '48 × 24');
  const { bytes, file } = await resultOf(opened);
  const snippet = await copyOf(opened, 'curl');
  expect(snippet).toContain('/imagemesh.v1.ImageService/Transform');
  await run('bash', ['-c', snippet], { cwd: folder });
  expect((await readFile(join(folder, file))).equals(bytes)).toBe(true);
  await opened.close();
});
