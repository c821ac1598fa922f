import { WorkerKind } from '@imagemesh/api';
import { photoLike, startMesh, type TestMesh } from '@imagemesh/testkit';
import { type RunningReplica, readReplicaConfig, startReplica } from '@imagemesh/worker';
import type { Browser, Locator } from 'playwright-core';
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

test('a replica that answers faults is shown kept out, since when and for how long, with what was sent elsewhere', async () => {
  const { page, close } = await openPage(browser, mesh.gatewayUrl, '#/fleet');
  await page.getByTestId('replica-resize-1').waitFor();
  const broken = await startBrokenReplica('broken');
  try {
    const card = page.getByTestId('replica-broken');
    await card.waitFor();
    const body = new Uint8Array(await photoLike(60, 40));
    const work = async () => {
      const calls = Array.from({ length: 6 }, () =>
        fetch(`${mesh.gatewayUrl}/transform?ops=resize:20x`, { method: 'POST', body }),
      );
      for (const { status } of await Promise.all(calls)) expect(status).toBe(200);
      return card.getAttribute('data-state');
    };
    await expect.poll(work, { timeout: 20_000 }).toBe('ejected');
    await card.filter({ hasText: /out since \d\d:\d\d:\d\d, tried again in \d+ s/ }).waitFor();
    expect(await figure(card, 'Ejections')).toMatch(/^[1-9]/);
    // Three faults put it out, and nobody's call has failed.
    expect(Number(await figure(card, 'Retried'))).toBeGreaterThanOrEqual(3);
    expect(await page.locator('.tile', { hasText: 'Ejections' }).textContent()).toContain('1 out now');
    expect(await figure(page.getByTestId('replica-resize-1'), 'Ejections')).toBe('0');
  } finally {
    await broken.close(0);
  }
  await close();
});

function figure(card: Locator, name: string): Promise<string | null> {
  return card
    .locator('.fact', { has: card.page().getByText(name, { exact: true }) })
    .locator('dd')
    .textContent();
}

/** A replica that joins the mesh as any other, and fails at whatever it is given. */
function startBrokenReplica(replicaId: string): Promise<RunningReplica> {
  const fail = (): never => {
    throw new Error('out of order');
  };
  const env = {
    REPLICA_ID: replicaId,
    BALANCER_ADDRESSES: mesh.balancerAddresses.join(','),
    DATA_DIR: mesh.dataDir,
    LOG_LEVEL: 'silent',
  };
  return startReplica({
    name: 'resize',
    worker: WorkerKind.RESIZE,
    operations: ['resize'],
    agents: { validate: fail, process: fail, format: fail },
    config: readReplicaConfig(env, 'resize'),
  });
}

test('before the first list has come the page says that it asks, and not that there is nothing', async () => {
  const { page, close } = await openPage(browser, mesh.gatewayUrl);
  const watch = '**/imagemesh.v1.BalancerService/WatchReplicas';
  await page.route(watch, () => {});
  await page.goto('about:blank');
  await page.goto(`${mesh.gatewayUrl}/#/fleet`);
  await page.getByText('Asking the mesh for its replicas').waitFor();
  expect(await page.locator('.tiles').textContent()).not.toContain('0');
  await page.locator('.mesh-pill', { hasText: '…' }).waitFor();

  await page.unroute(watch);
  await page.route(watch, (route) => route.abort());
  await page.goto('about:blank');
  await page.goto(`${mesh.gatewayUrl}/#/fleet`);
  await page.getByRole('alert').filter({ hasText: 'OFFLINE' }).waitFor();
  expect(await page.locator('.tiles').textContent()).not.toContain('0');
  await page.unroute(watch);
  // The page tries again by itself.
  await page.getByTestId('replica-resize-1').waitFor();
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
