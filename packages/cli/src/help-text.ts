/** `imagemesh --help`. */
import { SCOPES } from '@imagemesh/keys';
import { SETTINGS } from './config.ts';

export function helpText(): string {
  const names = SETTINGS.map(({ option, variable }) => `${option}, ${variable}`);
  const width = Math.max(...names.map((name) => name.length));
  const rows = SETTINGS.map(({ doc, default: fallback }, index) => {
    const note = fallback === '' ? '' : ` Default ${fallback}.`;
    return `  ${(names[index] ?? '').padEnd(width)}  ${doc}${note}`;
  });
  return [
    'imagemesh: a gRPC service mesh for image processing',
    '',
    '  imagemesh [up]             starts the whole mesh: NATS, balancer, replicas, gateway (npm start)',
    '  imagemesh replica KIND     adds a resize or filter replica to the mesh that runs on DATA_DIR',
    '  imagemesh keys add NAME    makes an API key and prints it, this once; the file keeps only its SHA-256',
    '  imagemesh keys list        the keys of the file',
    '  imagemesh keys remove NAME takes a key out of the file; gateways notice within two seconds',
    '  imagemesh sign ID [OPERATIONS]  prints a signed URL of a result, for <img>; imagemesh sign --help',
    '',
    '  -h, --help                 this',
    '  -v, --version              the version',
    '      --print-config         the effective settings of `up` as JSON',
    '',
    'Options of `keys`:',
    '  --api-keys-file, API_KEYS_FILE  The file. Default keys.json.',
    `  --scopes                        What the key may do, comma-separated: ${SCOPES.join(', ')}. Default all but admin.`,
    '  --owner                         Whose images and jobs it sees. Default NAME.',
    '  --expires                       From when on it is refused, such as 2030-01-31T00:00:00Z. Default never.',
    '  --calls-per-second, --concurrent-calls, --bytes-per-minute, --pixels-per-minute  Its limits. Default none.',
    '',
    'Settings of `up`, each an option or an environment variable; the option wins:',
    ...rows,
    '',
    'Other variables are passed on to the services; docs/architecture.md lists them. Ctrl-C drains and stops,',
    'a second Ctrl-C kills.',
    '',
  ].join('\n');
}
