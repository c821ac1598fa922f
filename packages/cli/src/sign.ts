/** `imagemesh sign`: a program of the gateway, which knows what it will take. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Env } from '@imagemesh/observe';

const program = fileURLToPath(new URL('../../../services/gateway/dist/sign/main.js', import.meta.url));

/** Its words are the child's. Resolves to the exit code. */
export async function runSign(args: readonly string[], env: Env): Promise<number> {
  const child = spawn(process.execPath, [program, ...args], { env: { ...env }, stdio: 'inherit' });
  const [code] = await once(child, 'exit');
  return typeof code === 'number' ? code : 1;
}
