import { startMesh, type TestMesh } from '@imagemesh/testkit';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchBrowser, openPage } from './browser.ts';

let mesh: TestMesh;
let browser: Browser;

beforeAll(async () => {
  [mesh, browser] = await Promise.all([startMesh({ replicas: { resize: 2, filter: 1 } }), launchBrowser()]);
});

afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
});

test('a replica that is killed is shown dead, and its return is shown', async () => {
  const { page, close } = await openPage(browser, mesh.gatewayUrl, '#/fleet');
  const alive = page.locator('.replica:not([data-state="dead"])', { hasText: 'resize-2' });
  const dead = page.locator('.replica[data-state="dead"]', { hasText: 'resize-2' });
  await alive.waitFor();
  await page.locator('.mesh-pill', { hasText: '3 replicas' }).waitFor();

  await mesh.kill('resize-2');
  await dead.filter({ hasText: 'Dead' }).waitFor();
  await page.locator('.mesh-pill', { hasText: '2 replicas' }).waitFor();
  await page.locator('.feed li', { hasText: 'is gone' }).waitFor();

  await mesh.restart('resize-2');
  await alive.filter({ hasText: 'joined' }).waitFor();
  await page.locator('.mesh-pill', { hasText: '3 replicas' }).waitFor();
  await page
    .locator('.feed li', { hasText: /is back|has joined|takes work/ })
    .first()
    .waitFor();
  await close();
});

test('a gateway that goes away is told, and its return is noticed', async () => {
  const { page, close } = await openPage(browser, mesh.gatewayUrl, '#/fleet');
  await page.locator('.mesh-pill', { hasText: '3 replicas' }).waitFor();
  await mesh.kill('gateway');
  await page.getByRole('status').filter({ hasText: 'The gateway does not answer' }).waitFor();
  await page.locator('.mesh-pill', { hasText: 'offline' }).waitFor();
  await mesh.restart('gateway');
  await page.locator('.mesh-pill', { hasText: '3 replicas' }).waitFor();
  expect(await page.locator('.banner').count()).toBe(0);
  await close();
});

test('a replica is drained from the page, after being asked once more', async () => {
  const { page, close } = await openPage(browser, mesh.gatewayUrl, '#/fleet');
  await page.getByRole('button', { name: 'Drain resize-1', exact: true }).click();
  await page.getByRole('button', { name: 'Keep' }).click();
  await page.getByRole('button', { name: 'Drain resize-1', exact: true }).click();
  await page.locator('.confirm').getByRole('button', { name: 'Drain resize-1' }).click();
  await page
    .locator('.replica:is([data-state="draining"], [data-state="dead"])', { hasText: 'resize-1' })
    .waitFor();
  await close();
});
