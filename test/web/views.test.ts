/**
 * Each view, and each state that a view may be in, in both themes and at all widths: looked at by axe, and by people as pictures in
 * test/web/screenshots. With UPDATE_DOCS=1 (`npm run docs:page`) also writes those of the README.
 */
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { photoLike, startMesh, type TestMesh } from '@imagemesh/testkit';
import type { Browser, Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seriousFindings } from './axe.ts';
import { launchBrowser, openPage } from './browser.ts';

const folder = fileURLToPath(new URL('screenshots/', import.meta.url));
const docs = fileURLToPath(new URL('../../docs/page/', import.meta.url));
const updatesDocs = process.env.UPDATE_DOCS === '1';

let mesh: TestMesh;
let browser: Browser;

beforeAll(async () => {
  await mkdir(folder, { recursive: true });
  [mesh, browser] = await Promise.all([
    startMesh({ nats: true, replicas: { resize: 2, filter: 2 } }),
    launchBrowser(),
  ]);
});

afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
});

const pipeline =
  'ops=crop:width=720,height=480,gravity=GRAVITY_CENTER/gaussian_blur:sigma=2/edges&format=FORMAT_WEBP&quality=70';

const phone = { name: '360', width: 360, height: 780 };
const desk = { name: '1440', width: 1440, height: 900 };
const wall = { name: '4k', width: 3840, height: 2160 };
const themes = ['light', 'dark'] as const;

interface Looked {
  readonly fragment: string;
  /** Brings it there, and waits until it is. */
  readonly reach: (page: Page) => Promise<void>;
  readonly sizes: readonly (typeof phone)[];
  /** What the browser itself says of the answer that the state is about. */
  readonly expected?: RegExp;
}

const playgroundReady = (page: Page) => page.locator('.facts', { hasText: /\d+ × \d+/ }).waitFor();

/** In this order: the first is of a mesh that has done nothing. */
const looked: Readonly<Record<string, Looked>> = {
  'jobs-empty': {
    fragment: '#/jobs',
    reach: (page) => page.getByText('No jobs yet').waitFor(),
    sizes: [phone, desk],
  },
  playground: {
    fragment: `#/playground?${pipeline}`,
    reach: (page) => page.locator('.facts', { hasText: '720 × 480' }).waitFor(),
    sizes: [phone, desk, wall],
  },
  'playground-refused': {
    fragment: '#/playground?ops=blur:size=4',
    reach: (page) => page.getByRole('alert').filter({ hasText: 'must be odd' }).waitFor(),
    sizes: [phone],
    expected: /status of 400/,
  },
  'copy-as': {
    fragment: `#/playground?${pipeline}`,
    async reach(page) {
      await playgroundReady(page);
      await page.getByRole('button', { name: 'Copy as…' }).click();
      await page.locator('dialog[open] pre').waitFor();
    },
    sizes: [phone, desk],
  },
  key: {
    fragment: '',
    async reach(page) {
      await playgroundReady(page);
      await page.getByRole('button', { name: 'Enter an API key' }).click();
      await page.getByRole('dialog', { name: 'API key' }).waitFor();
    },
    sizes: [phone, desk],
  },
  jobs: {
    fragment: '#/jobs',
    async reach(page) {
      await makeJobs(page);
      await page.locator('.job .thumb img').first().waitFor();
    },
    sizes: [phone, desk, wall],
  },
  'fleet-unknown': {
    fragment: '',
    async reach(page) {
      await playgroundReady(page);
      await page.route('**/WatchReplicas', () => {});
      await page.goto(`${mesh.gatewayUrl}/#/fleet`);
      await page.reload();
      await page.getByText('Asking the mesh').waitFor();
    },
    sizes: [phone],
  },
  fleet: {
    fragment: '#/fleet',
    async reach(page) {
      await page.getByTestId('replica-resize-1').waitFor();
      await work(updatesDocs ? 100 : 2);
      await mesh.kill('resize-1');
      await work(updatesDocs ? 60 : 2);
      await page.locator('.replica[data-state="dead"]').waitFor();
      await page.locator('.chart canvas').first().waitFor();
      await page.locator('.strip rect[data-tone="bad"]').waitFor();
    },
    sizes: [phone, desk, wall],
  },
};

/** Some jobs, one of which fails. */
async function makeJobs(page: Page): Promise<void> {
  const buffer = await photoLike(900, 600);
  const names = [
    'harbour',
    'a-meadow-early-in-the-morning-of-the-longest-day',
    'station',
    'orchard',
    'market',
  ];
  const files = names.map((name) => ({ name: `${name}.jpg`, mimeType: 'image/jpeg', buffer }));
  const cut = { name: 'cut-off.jpg', mimeType: 'image/jpeg', buffer: buffer.subarray(0, buffer.length / 2) };
  await page.getByLabel('Image files').setInputFiles([...files, cut]);
  await page.getByText(`Done ${names.length}`).waitFor();
  await page.getByText('Failed 1').waitFor();
}

/** Some transforms, so that there is something to see. */
async function work(rounds: number): Promise<void> {
  const body = new Uint8Array(await photoLike(900, 600));
  for (let round = 0; round < rounds; round++) {
    const ops = ['resize:400x', 'resize:600x/gaussian_blur:5,2', 'crop:0,0,300x300', 'blur:9', 'edges'];
    await Promise.all(
      ops
        .slice(round % 3)
        .map((each) => fetch(`${mesh.gatewayUrl}/transform?ops=${each}`, { method: 'POST', body })),
    );
  }
}

for (const [name, { fragment, reach, sizes, expected }] of Object.entries(looked)) {
  test(`${name} fits every width, breaks no rule of axe, makes no error and no request elsewhere`, async () => {
    const [{ width, height }] = sizes as [typeof phone];
    const opened = await openPage(browser, mesh.gatewayUrl, fragment, { viewport: { width, height } });
    const { page, errors, foreign, close } = opened;
    await reach(page);
    for (const size of sizes) {
      await page.setViewportSize({ width: size.width, height: size.height });
      for (const colorScheme of themes) {
        await page.emulateMedia({ colorScheme });
        await settled(page);
        const picture = await page.screenshot({ path: `${folder}${name}-${size.name}-${colorScheme}.png` });
        if (updatesDocs && size === desk && colorScheme === 'light' && sizes.includes(wall)) {
          await sharp(picture).resize({ width: 1100 }).webp({ quality: 80 }).toFile(`${docs}${name}.webp`);
        }
        const overhang = await page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        );
        expect(overhang, `${size.name}, ${colorScheme}`).toBeLessThanOrEqual(0);
        // What is said at 4K is said at 1440.
        if (size !== wall) expect(await seriousFindings(page), `${size.name}, ${colorScheme}`).toEqual([]);
      }
    }
    expect(errors.filter((error) => expected?.test(error) !== true)).toEqual([]);
    expect(foreign).toEqual([]);
    await close();
  });
}

test('the browser refuses scripts, styles, pictures and calls that the page does not have of its own', async () => {
  const { page, close } = await openPage(browser, mesh.gatewayUrl);
  await playgroundReady(page);
  await page.evaluate(async () => {
    const directives: string[] = [];
    Object.assign(globalThis, { directives });
    document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => {
      directives.push(effectiveDirective);
    });
    const add = (tag: string, fields: object) =>
      document.body.append(Object.assign(document.createElement(tag), fields));
    add('script', { textContent: 'globalThis.ran = true' });
    add('script', { src: 'http://127.0.0.2:1/a.js' });
    add('style', { textContent: 'body { display: none }' });
    add('img', { src: 'http://127.0.0.2:1/a.png' });
    add('iframe', { src: 'http://127.0.0.2:1/' });
    document.body.insertAdjacentHTML('beforeend', '<p onclick="globalThis.ran = true" style="color: red">');
    document.querySelector<HTMLElement>('body > p')?.click();
    await fetch('http://127.0.0.2:1/').catch(() => {});
  });
  await expect
    .poll(() => page.evaluate<string[]>('[...new Set(directives)].sort()'), { timeout: 10_000 })
    .toEqual([
      'connect-src',
      'frame-src',
      'img-src',
      'script-src-attr',
      'script-src-elem',
      'style-src-attr',
      'style-src-elem',
    ]);
  expect(await page.evaluate("'ran' in globalThis")).toBe(false);
  await close();
});

/** Two frames on: what follows the size has been drawn anew. */
async function settled(page: Page): Promise<void> {
  await page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
  );
}
