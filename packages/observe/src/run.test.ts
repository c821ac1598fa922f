/** The life of a service process, with real processes. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';

const script = fileURLToPath(new URL('./testdata/service.ts', import.meta.url));
const children = new Set<ChildProcess>();

afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  children.clear();
});

function start(env: Record<string, string> = {}, args: string[] = []) {
  const child = fork(script, args, {
    env: { PATH: '/usr/bin:/bin', ...env },
    execArgv: ['--import', 'tsx', '--conditions=source'],
    silent: true,
  });
  children.add(child);
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (bytes: Buffer) => {
    stdout += bytes;
  });
  child.stderr?.on('data', (bytes: Buffer) => {
    stderr += bytes;
  });
  // Not 'close': it waits for the IPC channel, and misses one that the parent closed.
  const ended = [child.stdout, child.stderr].map((stream) => stream && once(stream, 'end'));
  const exited = Promise.all([once(child, 'exit'), ...ended]).then(([[code]]) => ({ code, stdout, stderr }));
  const ready = new Promise<Record<string, unknown>>((resolve) => {
    child.on('message', (message) => {
      // The one message that a service sends its parent.
      resolve(message as Record<string, unknown>);
    });
  });
  return { child, exited, ready };
}

describe('runService', () => {
  it('tells its parent where it listens, and drains on SIGTERM', async () => {
    const { child, exited, ready } = start({ CLOSE_MS: '100' });
    expect(await ready).toMatchObject({
      type: 'ready',
      address: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
    });
    child.kill('SIGTERM');
    const { code, stdout } = await exited;
    expect(code).toBe(0);
    const messages = stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { msg: string }).msg);
    expect(messages).toEqual(['ready', 'stopping', 'stopped']);
  });

  it('ends when its parent is gone', async () => {
    const { child, exited, ready } = start();
    await ready;
    child.disconnect();
    expect(await exited).toMatchObject({ code: 0 });
  });

  it('is ended hard when closing hangs', async () => {
    const { child, exited, ready } = start({ CLOSE_MS: '60000', DRAIN_TIMEOUT_MS: '100' });
    await ready;
    child.kill('SIGINT');
    expect(await exited).toMatchObject({ code: 1 });
  });

  it('says in one line that its port is in use', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const address = other.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const { code, stderr } = await start({ PORT: String(port) }).exited;
    other.close();
    expect(code).toBe(1);
    expect(stderr).toBe(
      `tiny: 127.0.0.1:${port} is already in use by another process; choose another PORT or stop that process\n`,
    );
  });

  it('says in one line which setting is wrong', async () => {
    const { code, stderr } = await start({ PORT: 'http' }).exited;
    expect(code).toBe(1);
    expect(stderr).toBe(
      'tiny: PORT="http" is not valid; expected a whole number from 0 to 65535 (default 0)\n',
    );
  });

  it('dies of an unhandled rejection, and logs it', async () => {
    const { code, stdout } = await start({ CRASH: 'true' }).exited;
    expect(code).toBe(1);
    expect(stdout).toContain('crashed on purpose');
  });

  it('explains itself, and prints its configuration without secrets', async () => {
    const help = await start({}, ['--help']).exited;
    expect(help.code).toBe(0);
    expect(help.stdout).toContain('PORT');
    expect(help.stdout).toContain('DRAIN_TIMEOUT_MS');
    const config = await start({ PORT: '81' }, ['--print-config']).exited;
    expect(JSON.parse(config.stdout)).toEqual({
      port: 81,
      joinToken: '***',
      natsUrl: 'nats://***@127.0.0.1:4222',
    });
  });
});
