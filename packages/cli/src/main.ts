#!/usr/bin/env node
/** The `imagemesh` command. */
import { ConfigError } from '@imagemesh/observe';
import { readCommand } from './args.ts';
import { processEnv, readConfig } from './config.ts';
import { helpText } from './help-text.ts';
import { runKeys } from './keys.ts';
import { runReplica } from './replica.ts';
import { runSign } from './sign.ts';
import { up } from './up.ts';
import { readVersion } from './version.ts';

try {
  process.exitCode = await run();
} catch (error) {
  const line =
    error instanceof ConfigError ? error.message : error instanceof Error ? error.stack : String(error);
  process.stderr.write(`imagemesh: ${line}\n`);
  process.exitCode = 1;
}
// Signal handlers and a half-open pipe are no reason to stay.
process.exit();

async function run(): Promise<number> {
  const command = readCommand(process.argv.slice(2), processEnv());
  const isTerminal = process.stdout.isTTY === true;
  switch (command.kind) {
    case 'help':
      return print(helpText());
    case 'version':
      return print(`${readVersion()}\n`);
    case 'keys':
      return runKeys(command, { print, tell });
    case 'sign':
      return runSign(command.args, command.env);
    case 'replica':
      return runReplica(command.worker, command.env, isTerminal);
    case 'up': {
      const config = readConfig(command.env, isTerminal);
      if (command.isPrintConfig) return print(`${JSON.stringify(config, null, 2)}\n`);
      return up(config, command.env);
    }
  }
}

/** For people: what a script reads stays on stdout. */
function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}
