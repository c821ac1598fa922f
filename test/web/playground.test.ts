import { decode, photoLike, pixelAt, quadrants, startMesh, type TestMesh } from '@imagemesh/testkit';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { canvasPixel, launchBrowser, openPage } from './browser.ts';

let mesh: TestMesh;
let browser: Browser;

beforeAll(async () => {
  [mesh, browser] = await Promise.all([startMesh(), launchBrowser()]);
});

afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
});

/** Waits until the result that is shown says so. */
async function resultSays(page: Page, text: string): Promise<void> {
  await page.locator('.facts', { hasText: text }).waitFor();
  await page.locator('.below[aria-busy="false"]').waitFor();
}

async function openFile(page: Page, name: string, bytes: Uint8Array, mimeType = 'image/png'): Promise<void> {
  await page.getByLabel('Image file').setInputFiles({ name, mimeType, buffer: Buffer.from(bytes) });
}

test('transforms the sample and shows the pixels of the result beside the original', async () => {
  const { page, errors, foreign, close } = await openPage(browser, mesh.gatewayUrl);
  await resultSays(page, '960 × 640');
  await openFile(page, 'quadrants.png', await quadrants({ width: 200, height: 100 }));
  await resultSays(page, '200 × 100');

  const add = page.getByRole('combobox', { name: 'Add an operation' });
  await add.fill('invert');
  await add.press('Enter');
  await resultSays(page, 'invert');

  // 200 × 100 px in the middle, the original left of the slider at half, the result right of it.
  const { width, height } = await page.locator('.frame canvas').evaluate((canvas) => ({
    width: canvas.clientWidth,
    height: canvas.clientHeight,
  }));
  const at = (x: number, y: number) => canvasPixel(page, 0.5 + (x - 100) / width, 0.5 + (y - 50) / height);
  const source = await decode(await quadrants({ width: 200, height: 100 }));
  for (const y of [20, 80]) {
    expect((await at(40, y)).slice(0, 3)).toEqual(pixelAt(source, 40, y).slice(0, 3));
    expect((await at(160, y)).slice(0, 3)).toEqual(
      pixelAt(source, 160, y)
        .slice(0, 3)
        .map((level) => 255 - level),
    );
  }
  expect(await page.locator('.stages').textContent()).toMatch(/filter-1/);
  expect(errors).toEqual([]);
  expect(foreign).toEqual([]);
  await close();
});

test('a link reproduces the pipeline, steps that are off among it', async () => {
  const fragment =
    '#/playground?ops=resize:width=120,fit=FIT_FILL/-blur:size=9/grayscale&format=FORMAT_WEBP&quality=60';
  const { page, close } = await openPage(browser, mesh.gatewayUrl, fragment);
  await resultSays(page, '120 × 80');
  await resultSays(page, 'WebP · quality 60');
  expect(await page.getByRole('spinbutton', { name: 'Width px' }).inputValue()).toBe('120');
  expect(await page.getByRole('checkbox', { name: 'Blur on' }).isChecked()).toBe(false);
  expect(await page.locator('.stages').textContent()).not.toContain('blur');

  await page.getByRole('checkbox', { name: 'Blur on' }).check();
  await resultSays(page, 'blur');
  await page.getByRole('button', { name: 'Move Grayscale up' }).click();
  const moved =
    '#/playground?ops=resize:width=120,fit=FIT_FILL/grayscale/blur:size=9&format=FORMAT_WEBP&quality=60';
  await page.waitForURL(`${mesh.gatewayUrl}/${moved}`);
  const hash = new URL(page.url()).hash;
  await page.reload();
  await resultSays(page, '120 × 80');
  expect(new URL(page.url()).hash).toBe(hash);

  // Back from another view, and forward again.
  await page.getByRole('link', { name: 'Fleet' }).click();
  await page.getByRole('heading', { name: 'Replicas' }).waitFor();
  await page.goBack();
  await resultSays(page, '120 × 80');
  expect(new URL(page.url()).hash).toBe(hash);
  await page.goForward();
  await page.getByRole('heading', { name: 'Replicas' }).waitFor();
  await close();
});

test("a refused file and a refused parameter show the server's reason", async () => {
  const { page, close } = await openPage(browser, mesh.gatewayUrl);
  await resultSays(page, '960 × 640');
  await openFile(page, 'notes.jpg', new TextEncoder().encode('no image at all'), 'image/jpeg');
  const alert = page.getByRole('alert');
  await alert.filter({ hasText: 'NOT_AN_IMAGE' }).waitFor();
  // What was made of the image before is not shown as if it were this one's.
  expect(await page.locator('.facts').count()).toBe(0);
  expect(await page.getByRole('button', { name: 'Download' }).isDisabled()).toBe(true);
  await page.getByText('This browser cannot show notes.jpg').waitFor();

  await openFile(page, 'quadrants.png', await quadrants({ width: 60, height: 40 }));
  await resultSays(page, '60 × 40');
  await page.goto(`${mesh.gatewayUrl}/#/playground?ops=blur:size=4`);
  await alert.filter({ hasText: 'INVALID_REQUEST' }).filter({ hasText: 'must be odd' }).waitFor();
  await close();
});

test('everything can be done by keys alone', async () => {
  const { page, close } = await openPage(browser, mesh.gatewayUrl);
  await resultSays(page, '960 × 640');
  await tabTo(page, 'Add an operation');
  await page.keyboard.type('grays');
  await page.keyboard.press('Enter');
  await resultSays(page, 'grayscale');

  await page.locator('body').press('Home');
  await page.evaluate(() => (document.activeElement as HTMLElement).blur());
  await tabTo(page, 'Compare');
  await page.keyboard.press('Home');
  const isGrey = async () => {
    const [red, green, blue, alpha] = await canvasPixel(page, 0.2, 0.5);
    return alpha === 255 && red === green && green === blue;
  };
  await expect.poll(isGrey, { timeout: 10_000 }).toBe(true);
  await page.keyboard.press('End');
  await expect.poll(isGrey, { timeout: 10_000 }).toBe(false);

  await tabTo(page, 'Grayscale on');
  await page.keyboard.press('Space');
  await page.waitForURL(/ops=-grayscale/);
  await tabTo(page, 'Zoom in');
  await page.keyboard.press('Enter');
  await page
    .getByLabel('Zoom level')
    .filter({ hasNotText: /^100 %/ })
    .waitFor();
  await close();
});

async function tabTo(page: Page, label: string): Promise<void> {
  const isThere = () =>
    page.evaluate((wanted) => document.activeElement?.getAttribute('aria-label') === wanted, label);
  for (let presses = 0; presses < 120; presses++) {
    if (await isThere()) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`${label} cannot be reached by the tab key`);
}

test('zooms to single pixels', async () => {
  const { page, close } = await openPage(browser, mesh.gatewayUrl);
  await resultSays(page, '960 × 640');
  await openFile(page, 'two.png', await quadrants({ width: 2, height: 2 }));
  await resultSays(page, '2 × 2');
  for (let presses = 0; presses < 6; presses++) await page.getByRole('button', { name: 'Zoom in' }).click();
  await page.getByLabel('Zoom level').filter({ hasText: '6400 %' }).waitFor();
  const source = await decode(await quadrants({ width: 2, height: 2 }));
  const { width, height } = await page.locator('.frame canvas').evaluate((canvas) => ({
    width: canvas.clientWidth,
    height: canvas.clientHeight,
  }));
  // Squares of 64 px: no pixel is mixed with its neighbour, one device pixel from the edge.
  expect((await canvasPixel(page, 0.5 + 2 / width, 0.5 + 2 / height)).slice(0, 3)).toEqual(
    pixelAt(source, 1, 1).slice(0, 3),
  );
  expect((await canvasPixel(page, 0.5 + 62 / width, 0.5 + 62 / height)).slice(0, 3)).toEqual(
    pixelAt(source, 1, 1).slice(0, 3),
  );
  await close();
});

test('work that is superseded is cancelled in the mesh', async () => {
  const { page, close } = await openPage(browser, mesh.gatewayUrl);
  await resultSays(page, '960 × 640');
  await openFile(page, 'large.jpg', await photoLike(2400, 1600), 'image/jpeg');
  await resultSays(page, '2400 × 1600');
  const cancelled = page.waitForEvent('requestfailed', (request) => request.url().endsWith('/Transform'));
  const sent = page.waitForRequest(/\/Transform$/);
  await page.goto(`${mesh.gatewayUrl}/#/playground?ops=bilateral:diameter=15/bilateral:diameter=15`);
  await sent;
  await page.goto(`${mesh.gatewayUrl}/#/playground?ops=resize:width=40`);
  expect((await cancelled).failure()?.errorText).toContain('ERR_ABORTED');
  await resultSays(page, '40 × 27');
  await expect
    .poll(
      () => mesh.logs('gateway').some((line) => line.includes('/Transform') && line.includes('"cancel')),
      {
        timeout: 20_000,
      },
    )
    .toBe(true);
  await close();
});
