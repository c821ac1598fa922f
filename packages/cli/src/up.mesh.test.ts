import { existsSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { alive, descendants, launch, readyLine, seen, useLaunchers } from './testing/launcher.ts';

const dataDir = useLaunchers();

describe('imagemesh up', () => {
  it('says where the mesh is, serves, and leaves nothing behind on Ctrl-C', async () => {
    const launcher = launch(['up']);
    const [, url, admin, jobs] = await seen(launcher, readyLine);
    expect(jobs).toBe('on');
    expect((await fetch(`${url}/`)).status).toBe(200);
    expect((await fetch(`${admin}/readyz`)).status).toBe(200);
    const processes = descendants(launcher.pid);
    // Gateway, balancer, two replicas, NATS and the process around it.
    expect(processes.length).toBe(6);

    const askedMs = performance.now();
    launcher.signal('SIGINT');
    // The terminal and npm both pass Ctrl-C on: twice at once is one request.
    launcher.signal('SIGINT');
    expect((await launcher.exited).code).toBe(0);
    expect(performance.now() - askedMs).toBeLessThan(10_000);
    expect(launcher.output()).toContain('"msg":"stopped"');
    expect(alive(processes)).toEqual([]);
    expect(existsSync(join(dataDir(), 'lock'))).toBe(false);
  });

  it('says in one line that a port is in use', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const address = holder.address();
    const port = typeof address === 'object' ? String(address?.port) : '';
    try {
      const launcher = launch(['up'], { PORT: port });
      expect((await launcher.exited).code).toBe(1);
      expect(launcher.output()).toBe(
        `imagemesh: PORT=${port}: 127.0.0.1:${port} is already in use; choose another port\n`,
      );
      expect(readdirSync(dataDir())).toEqual([]);
    } finally {
      holder.close();
    }
  });

  it.each([
    [{ REPLICAS: 'resize=many' }, /^imagemesh: REPLICAS="resize=many" is not valid; .*\n$/],
    [{ DATA_DIR: '/proc/nowhere' }, /^imagemesh: DATA_DIR=\/proc\/nowhere cannot be written .*\n$/],
    [{ NATS_SERVER_BIN: '/nowhere' }, /^imagemesh: NATS_SERVER_BIN=\/nowhere is not a program; .*\n$/],
  ])('says in one line what is wrong with %j', async (env, line) => {
    const launcher = launch(['up'], env);
    expect((await launcher.exited).code).toBe(1);
    expect(launcher.output()).toMatch(line);
  });
});
