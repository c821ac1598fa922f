/** `imagemesh --help`. */
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
    '',
    '  -h, --help                 this',
    '  -v, --version              the version',
    '      --print-config         the effective settings of `up` as JSON',
    '',
    'Settings of `up`, each an option or an environment variable; the option wins:',
    ...rows,
    '',
    'Other variables are passed on to the services; docs/architecture.md lists them. Ctrl-C drains and stops,',
    'a second Ctrl-C kills.',
    '',
  ].join('\n');
}
