/** Each view in both themes and at all widths: looked at by axe, and by people as pictures in test/web/screenshots. */
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { photoLike, startMesh, type TestMesh } from '@imagemesh/testkit';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seriousFindings } from './axe.ts';
import { launchBrowser, openPage } from './browser.ts';

const folder = fileURLToPath(new URL('screenshots/', import.meta.url));

let mesh: TestMesh;
let browser: Browser;

beforeAll(async () => {
  await mkdir(folder, { recursive: true });
  [mesh, browser] = await Promise.all([
    startMesh({ nats: true, replicas: { resize: 2, filter: 2 } }),
    launchBrowser(),
  ]);
  await makeWork();
});

afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
});

/** Some jobs, one of them refused, so that there is something to see. */
async function makeWork(): Promise<void> {
  const { page, close } = await openPage(browser, mesh.gatewayUrl, '#/jobs');
  const buffer = await photoLike(900, 600);
  const names = ['harbour', 'meadow', 'station', 'orchard', 'lighthouse', 'market'];
  const files = names.map((name) => ({ name: `${name}.jpg`, mimeType: 'image/jpeg', buffer }));
  await page.getByLabel('Image files').setInputFiles(files);
  await page.getByText(`Done ${names.length}`).waitFor();
  await close();
}

const views = {
  playground: {
    fragment:
      '#/playground?ops=crop:width=720,height=480,gravity=GRAVITY_CENTER/gaussian_blur:sigma=2/edges&format=FORMAT_WEBP&quality=70',
    isReady: (page: Page) => page.locator('.facts', { hasText: '720 × 480' }).waitFor(),
  },
  jobs: {
    fragment: '#/jobs',
    isReady: (page: Page) => page.locator('.job .thumb img').first().waitFor(),
  },
  fleet: {
    fragment: '#/fleet',
    isReady: async (page: Page) => {
      await page.getByTestId('replica-resize-2').waitFor();
      await page.locator('.chart canvas').first().waitFor();
      await page.locator('.strip rect').first().waitFor();
    },
  },
} as const;

const sizes = [
  { name: '360', viewport: { width: 360, height: 780 } },
  { name: '1440', viewport: { width: 1440, height: 900 } },
  { name: '4k', viewport: { width: 3840, height: 2160 } },
] as const;

for (const [view, { fragment, isReady }] of Object.entries(views)) {
  describe(view, () => {
    for (const { name, viewport } of sizes) {
      for (const colorScheme of ['light', 'dark'] as const) {
        test(`${name}, ${colorScheme}: fits the width, breaks no rule of axe, makes no error`, async () => {
          const opened = await openPage(browser, mesh.gatewayUrl, fragment, { viewport, colorScheme });
          const { page, errors, foreign, close } = opened;
          await isReady(page);
          await page.screenshot({ path: `${folder}${view}-${name}-${colorScheme}.png` });
          const overhang = await page.evaluate(
            () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
          );
          expect(overhang).toBeLessThanOrEqual(0);
          expect(await seriousFindings(page)).toEqual([]);
          expect(errors).toEqual([]);
          expect(foreign).toEqual([]);
          await close();
        });
      }
    }
  });
}
