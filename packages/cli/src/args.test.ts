import { describe, expect, it } from 'vitest';
import { readCommand } from './args.ts';

describe('readCommand', () => {
  it('brings the mesh up when given nothing', () => {
    expect(readCommand([], { PORT: '1' })).toEqual({ kind: 'up', env: { PORT: '1' }, isPrintConfig: false });
  });

  it('puts options over the environment', () => {
    const command = readCommand(['up', '--port', '2', '--balancer-port=3'], { PORT: '1', HOME: '/h' });
    expect(command).toMatchObject({ kind: 'up', env: { PORT: '2', BALANCER_PORT: '3', HOME: '/h' } });
  });

  it('reads the kind of a replica', () => {
    expect(readCommand(['replica', 'filter'], {})).toEqual({ kind: 'replica', env: {}, worker: 'filter' });
  });

  it('reads what is to be done with a key', () => {
    const limits = ['--calls-per-second', '5', '--scopes', 'read, jobs', '--api-keys-file', 'k.json'];
    expect(readCommand(['keys', 'add', 'a', ...limits], {})).toEqual({
      kind: 'keys',
      path: 'k.json',
      action: 'add',
      id: 'a',
      fields: { owner: 'a', scopes: ['read', 'jobs'], limits: { callsPerSecond: 5 } },
    });
    expect(readCommand(['keys', 'list'], { API_KEYS_FILE: 'x' })).toEqual({
      kind: 'keys',
      path: 'x',
      action: 'list',
    });
  });

  it('leaves what follows sign to the gateway', () => {
    const args = ['resize:10x', '--help', '--format', 'png'];
    expect(readCommand(['sign', ...args], { A: 'b' })).toEqual({ kind: 'sign', args, env: { A: 'b' } });
  });

  it('prefers help and version to everything else', () => {
    expect(readCommand(['replica', 'nonsense', '--help'], {})).toEqual({ kind: 'help' });
    expect(readCommand(['-v'], {})).toEqual({ kind: 'version' });
  });

  it.each([
    [['down'], 'there is no command "down"; see imagemesh --help'],
    [['up', 'more'], 'unexpected argument "more"; see imagemesh --help'],
    [['--nope'], "Unknown option '--nope'; see imagemesh --help"],
    [['replica'], 'imagemesh replica needs a kind: resize or filter'],
    [['replica', 'gateway'], 'imagemesh replica needs a kind: resize or filter'],
    [['keys'], 'imagemesh keys needs one of: add, list, remove'],
    [['keys', 'add'], 'imagemesh keys add needs the name of a key'],
    [['keys', 'list', 'x'], 'unexpected argument "x"; see imagemesh --help'],
    [['keys', 'add', 'a', '--scopes', 'root'], '--scopes root is not valid'],
    [['keys', 'add', 'a', '--expires', 'soon'], '--expires is not valid'],
    [['keys', 'add', 'a', '--bytes-per-minute', '1.5'], '--bytes-per-minute 1.5 is not valid'],
  ])('refuses %j in one line', (args, message) => {
    expect(() => readCommand(args, {})).toThrow(message);
  });
});
