/** The page before a gateway that wants a key of every caller. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { addKey } from '@imagemesh/keys';
import { decode, photoLike, startMesh, type TestMesh } from '@imagemesh/testkit';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchBrowser, openPage } from './browser.ts';

let folder: string;
let key: string;
let mesh: TestMesh;
let browser: Browser;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imagemesh-page-keys-'));
  const path = join(folder, 'keys.json');
  key = await addKey(path, {
    id: 'alice',
    owner: 'alice',
    scopes: ['transform', 'upload', 'read', 'jobs'],
    limits: {},
  });
  const signing = join(folder, 'signing-keys');
  await writeFile(signing, `k1 ${'5e'.repeat(32)} alice\n`);
  [mesh, browser] = await Promise.all([
    startMesh({ nats: true, env: { API_KEYS_FILE: path, SIGNING_KEYS_FILE: signing } }),
    launchBrowser(),
  ]);
});

afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
  await rm(folder, { recursive: true, force: true });
});

test('a key is asked for, serves all views, and fetches the results of jobs', async () => {
  const { page, close } = await openPage(browser, mesh.gatewayUrl);
  const dialog = page.getByRole('dialog', { name: 'API key' });
  await dialog.waitFor();
  await dialog.getByLabel('API key').fill(key);
  await dialog.getByRole('button', { name: 'Use key' }).click();
  await dialog.waitFor({ state: 'hidden' });
  await page.locator('.facts', { hasText: '960 × 640' }).waitFor();
  await page.locator('.mesh-pill', { hasText: '2 replicas' }).waitFor();
  await showsSigned(page);

  await page.getByRole('link', { name: 'Fleet' }).click();
  await page.getByTestId('replica-resize-1').waitFor();

  await page.getByRole('link', { name: 'Jobs' }).click();
  const buffer = await photoLike(300, 200);
  await page.getByLabel('Image files').setInputFiles({ name: 'harbour.jpg', mimeType: 'image/jpeg', buffer });
  const job = page.locator('.job[data-state="succeeded"]');
  await job.waitFor();
  const picture = job.locator('.thumb img').first();
  await expect.poll(() => picture.getAttribute('src'), { timeout: 10_000 }).toMatch(/^blob:/);
  const [tab] = await Promise.all([page.waitForEvent('popup'), job.getByRole('link').first().click()]);
  await tab.waitForURL(/^blob:/);
  await expect
    .poll(() => tab.evaluate(() => document.querySelector('img')?.naturalWidth ?? 0), { timeout: 10_000 })
    .toBeGreaterThan(0);
  await close();
});

/** The command that the page shows makes an address which needs no key, and shows what the page shows. */
async function showsSigned(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Copy as…' }).click();
  await page.getByRole('radio', { name: '<img>', exact: true }).check();
  await page.getByRole('button', { name: 'Upload the image' }).click();
  const command = (await page.locator('dialog[open] pre', { hasText: 'npm run' }).textContent()) ?? '';
  const env = { ...process.env, SIGNING_KEYS_FILE: join(folder, 'signing-keys') };
  const { stdout } = await promisify(execFile)('bash', ['-c', command], { env });
  const response = await fetch(stdout.trim());
  expect(response.status).toBe(200);
  const { width, height } = await decode(Buffer.from(await response.arrayBuffer()));
  expect([width, height]).toEqual([960, 640]);
  await page.getByRole('button', { name: 'Close' }).click();
}

test('a key that was declined is not asked for again by itself', async () => {
  const { page, close } = await openPage(browser, mesh.gatewayUrl);
  const dialog = page.getByRole('dialog', { name: 'API key' });
  await dialog.waitFor();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  // Refused twice more: the first may have been under way already.
  for (const _ of [1, 2]) await page.waitForResponse(/\/WatchReplicas$/);
  expect(await dialog.isVisible()).toBe(false);
  await close();
});
