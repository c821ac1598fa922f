#!/usr/bin/env node
/** `imagemesh sign`: its operations are read by the gateway's own parser, its keys and presets from the gateway's files. */
import { ConfigError } from '@imagemesh/observe';
import { MeshError } from '@imagemesh/rpc';
import { readPresets } from '../presets.ts';
import { readSigningKeys } from '../rest/signing.ts';
import { helpText, processEnv, readCommand, type SignCommand } from './config.ts';
import { signUrl } from './sign-url.ts';

try {
  process.stdout.write(await run(readCommand(process.argv.slice(2), processEnv(), Date.now())));
} catch (error) {
  const isTheirs = error instanceof ConfigError || error instanceof MeshError;
  const line = isTheirs ? error.message : error instanceof Error ? error.stack : String(error);
  process.stderr.write(`imagemesh sign: ${line}\n`);
  process.exitCode = 1;
}

async function run(command: SignCommand): Promise<string> {
  if (command.kind === 'help') return helpText;
  const { request, signingKeysFile, keyId, presetsFile } = command;
  const keys = await readSigningKeys(signingKeysFile);
  const key = keyId === undefined ? keys.at(-1) : keys.find(({ id }) => id === keyId);
  if (key === undefined)
    throw new ConfigError(`${signingKeysFile} has no key${keyId === undefined ? '' : ` ${keyId}`}`);
  const findPreset = presetsFile === '' ? () => undefined : await readPresets(presetsFile);
  return `${signUrl(request, key, findPreset)}\n`;
}
