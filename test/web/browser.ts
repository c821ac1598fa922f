/** Debian's Chromium, driven by playwright-core, with a profile of its own and nothing that calls home. */
import { existsSync } from 'node:fs';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const candidates = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export async function launchBrowser(): Promise<Browser> {
  const own = process.env.CHROMIUM_BIN;
  const executablePath = [...(own === undefined ? [] : [own]), ...candidates].find(existsSync);
  if (executablePath === undefined) throw new Error('there is no Chromium; install it or set CHROMIUM_BIN');
  return chromium.launch({ executablePath, args });
}

export interface OpenedPage {
  readonly page: Page;
  /** Errors of the console and of scripts, violations of the CSP among them. */
  readonly errors: string[];
  /** Requests that left the origin. */
  readonly foreign: string[];
  close(): Promise<void>;
}

/** Opens the page at a fragment, in a context of its own. */
export async function openPage(
  browser: Browser,
  gatewayUrl: string,
  fragment = '',
  options: BrowserContextOptions = {},
): Promise<OpenedPage> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const errors: string[] = [];
  const foreign: string[] = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (/^https?:$/.test(url.protocol) && url.origin !== gatewayUrl) foreign.push(url.href);
  });
  await page.goto(`${gatewayUrl}/${fragment}`);
  return { page, errors, foreign, close: () => context.close() };
}

/** The colour of a point of the viewer, 0 to 1 from its left and top. */
export async function canvasPixel(page: Page, x: number, y: number): Promise<readonly number[]> {
  return page.locator('.frame canvas').evaluate(
    (element, at) => {
      const canvas = element as HTMLCanvasElement;
      const [px, py] = [Math.floor(at.x * canvas.width), Math.floor(at.y * canvas.height)];
      return [...(canvas.getContext('2d')?.getImageData(px, py, 1, 1).data ?? [])];
    },
    { x, y },
  );
}
