/** The launcher when its processes die, and beside others. */
import { describe, expect, it } from 'vitest';
import {
  alive,
  descendants,
  launch,
  listIds,
  readyLine,
  seen,
  until,
  useLaunchers,
} from './testing/launcher.ts';

useLaunchers();

describe('imagemesh up', () => {
  it('takes everything with it when it is killed, and its folder can be used again', async () => {
    const first = launch(['up']);
    await seen(first, readyLine);
    const processes = descendants(first.pid);
    first.signal('SIGKILL');
    await until(
      () => alive(processes).length === 0,
      () => `still alive: ${alive(processes)}`,
      15_000,
    );
    const second = launch(['up']);
    await seen(second, readyLine);
  });

  it('starts a crashed replica again', async () => {
    const launcher = launch(['up']);
    const [, url = ''] = await seen(launcher, readyLine);
    const [, pid] = await seen(launcher, /resize-1 +\| \{[^\n]*"pid":(\d+)[^\n]*"msg":"ready"/);
    process.kill(Number(pid), 'SIGKILL');
    await seen(launcher, /resize-1 ended \(SIGKILL\); starting it again in \d+ ms/);
    await expect.poll(() => listIds(url), { timeout: 10_000 }).toContain('resize-1.2');
  });

  it('lets a second terminal add a replica, and keeps a second mesh out of its folder', async () => {
    const launcher = launch(['up']);
    const [, url = ''] = await seen(launcher, readyLine);
    const replica = launch(['replica', 'resize']);
    await expect.poll(async () => (await listIds(url)).length, { timeout: 10_000 }).toBe(3);
    replica.signal('SIGINT');
    expect((await replica.exited).code).toBe(0);

    const intruder = launch(['up']);
    expect((await intruder.exited).code).toBe(1);
    expect(intruder.output()).toMatch(
      /^imagemesh: DATA_DIR=.* belongs to a mesh that runs at http:\S+ .*\n$/,
    );
  });

  it('comes up without jobs when nats-server does not start', async () => {
    const launcher = launch(['up'], { NATS_SERVER_BIN: '/bin/false' });
    const [, , , jobs] = await seen(launcher, readyLine);
    expect(jobs).toBe('off');
    expect(launcher.output()).toContain('warning: /bin/false did not start, so there are no jobs');
  });
});
