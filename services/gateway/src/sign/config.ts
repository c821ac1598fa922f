/** The arguments of `imagemesh sign`, and the environment that they are put over. */
import { parseArgs } from 'node:util';
import { ConfigError, type Env, envString } from '@imagemesh/observe';
import type { SignRequest } from './sign-url.ts';

export type SignCommand =
  | { readonly kind: 'help' }
  | {
      readonly kind: 'sign';
      readonly request: SignRequest;
      readonly signingKeysFile: string;
      /** Undefined: the last of the file. */
      readonly keyId: string | undefined;
      /** Empty: there are no presets. */
      readonly presetsFile: string;
    };

const options = {
  help: { type: 'boolean', short: 'h' },
  format: { type: 'string' },
  expires: { type: 'string' },
  base: { type: 'string' },
  key: { type: 'string' },
  'signing-keys-file': { type: 'string' },
  'presets-file': { type: 'string' },
} as const;

export const helpText = `imagemesh sign ID [OPERATIONS]: prints a signed URL of a stored image's result, for <img>

  ID                                        The image, as POST /upload answered it.
  OPERATIONS                                As docs/urls.md says: resize:300x200,cover/sharpen. None: only the format.
  --format                                  jpg, png, webp, avif, gif, tiff, or auto: the best that the browser takes. Default auto.
  --expires                                 Until when it is good: a time such as 2030-01-31T00:00:00Z, or from now on: 90s, 30m, 12h, 7d.
                                            Default for ever.
  --base                                    What stands before the path; "" for nothing. Default http://127.0.0.1:8080.
  --signing-keys-file, SIGNING_KEYS_FILE    The keys, as the gateway has them. Default signing-keys.
  --key                                     Id of the key to sign with. Default the last of the file.
  --presets-file, PRESETS_FILE              The presets, where OPERATIONS name one. Default none.
`;

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

export function processEnv(): Env {
  return process.env;
}

/** Throws ConfigError, one line. */
export function readCommand(args: readonly string[], env: Env, nowMs: number): SignCommand {
  const { values, positionals } = parse(args);
  if (values.help) return { kind: 'help' };
  const [imageId, operations = '', ...more] = positionals;
  if (imageId === undefined) throw new ConfigError('imagemesh sign needs the id of an image; see --help');
  if (more.length > 0)
    throw new ConfigError(`unexpected argument ${JSON.stringify(more[0])}; see imagemesh sign --help`);
  return {
    kind: 'sign',
    request: {
      imageId,
      operations,
      format: values.format ?? 'auto',
      expirySeconds: values.expires === undefined ? undefined : readExpiry(values.expires, nowMs),
      base: values.base ?? 'http://127.0.0.1:8080',
    },
    keyId: values.key,
    signingKeysFile:
      values['signing-keys-file'] ?? envString(env, 'SIGNING_KEYS_FILE', { default: 'signing-keys' }),
    presetsFile: values['presets-file'] ?? envString(env, 'PRESETS_FILE', { default: '' }),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    // util.parseArgs explains itself in its first sentence.
    const message = error instanceof Error ? (error.message.split('. ')[0] ?? '') : String(error);
    throw new ConfigError(`${message}; see imagemesh sign --help`);
  }
}

/** In seconds since the epoch, whole. */
function readExpiry(text: string, nowMs: number): number {
  const [, count, unit = ''] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const fromNow = unitSeconds[unit];
  const seconds =
    count !== undefined && fromNow !== undefined
      ? Math.ceil(nowMs / 1000) + Number(count) * fromNow
      : Math.floor(Date.parse(text) / 1000);
  if (!(seconds * 1000 > nowMs) || seconds > 999_999_999_999)
    throw new ConfigError(
      `--expires ${text} is not valid; expected a time to come such as 2030-01-31T00:00:00Z, or 90s, 30m, 12h, 7d`,
    );
  return seconds;
}
