import { noisePng, photoLike, startMesh, type TestMesh } from '@imagemesh/testkit';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchBrowser, openPage } from './browser.ts';

let mesh: TestMesh;
let browser: Browser;

beforeAll(async () => {
  [mesh, browser] = await Promise.all([startMesh({ nats: true }), launchBrowser()]);
});

afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
});

test('ten files become jobs that run to the end, and one that is no image says why it is none', async () => {
  const { page, close } = await openPage(browser, mesh.gatewayUrl, '#/jobs');
  const buffer = await photoLike(300, 200);
  const images = Array.from({ length: 10 }, (_, at) => ({
    name: `image-${at}.jpg`,
    mimeType: 'image/jpeg',
    // Bytes after the end of a JPEG make it another image.
    buffer: Buffer.concat([buffer, Buffer.from([at])]),
  }));
  const text = { name: 'notes.jpg', mimeType: 'image/jpeg', buffer: Buffer.from('no image at all') };
  await page.getByLabel('Image files').setInputFiles([...images, text]);
  await page.locator('.job[data-state="succeeded"]').nth(9).waitFor({ timeout: 40_000 });
  expect(await page.locator('.job').count()).toBe(10);
  await page.locator('.batch-file', { hasText: 'NOT_AN_IMAGE' }).waitFor();
  await page
    .locator('.job', { hasText: 'image-3.jpg' })
    .locator('.result', { hasText: '160 × 107' })
    .waitFor();
  await expect
    .poll(() =>
      page.locator('.thumb img').evaluateAll((images) => {
        const [first] = images as HTMLImageElement[];
        return first?.naturalWidth ?? 0;
      }),
    )
    .toBeGreaterThan(0);
  await page.reload();
  await page.locator('.job[data-state="succeeded"]').nth(9).waitFor();
  await close();
});

test('an upload that is cut off goes on where it was, and can be paused', async () => {
  const { page, errors, close } = await openPage(browser, mesh.gatewayUrl);
  await page.locator('.facts', { hasText: '960 × 640' }).waitFor();
  const network = await page.context().newCDPSession(page);
  const emulate = (offline: boolean) =>
    network.send('Network.emulateNetworkConditions', {
      offline,
      latency: 20,
      downloadThroughput: -1,
      uploadThroughput: 2_000_000,
    });
  let started = 0;
  let written = 0;
  page.on('request', (request) => {
    if (request.url().endsWith('/StartUpload')) started++;
  });
  page.on('requestfinished', (request) => {
    if (request.url().endsWith('/WriteChunk')) written++;
  });
  await emulate(false);
  const buffer = await noisePng(8_000_000);
  await page.getByLabel('Image file').setInputFiles({ name: 'noise.png', mimeType: 'image/png', buffer });
  const bar = page.locator('.upload');
  await expect.poll(() => written, { timeout: 20_000 }).toBeGreaterThan(0);
  await emulate(true);
  await bar.filter({ hasText: 'Connection lost' }).waitFor();
  await emulate(false);
  await bar.filter({ hasText: 'Uploading' }).waitFor();
  await page.getByRole('button', { name: 'Pause the upload' }).click();
  await bar.filter({ hasText: 'Paused' }).waitFor();
  await page.getByRole('button', { name: 'Resume the upload' }).click();
  await bar.filter({ hasText: 'Stored' }).waitFor({ timeout: 30_000 });
  expect(started).toBe(1);
  // The result is over what one message may carry: it comes by Render, which is asked at once.
  await page.locator('.facts', { hasText: /1633 × 1633|1632 × 1632/ }).waitFor({ timeout: 30_000 });
  expect(errors.filter((error) => error.includes('status of'))).toEqual([]);
  await close();
});
