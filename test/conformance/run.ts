/**
 * Runs the Connect conformance suite against the gateway's edge, and holds what fails against known-failing.txt. Installs the
 * runner where Go is there to build it. Ends with one line: "N passed, N failed".
 */
import { execFile } from 'node:child_process';
import { access, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Failure, failuresIn, judge } from './known-failing.ts';

const module = 'connectrpc.com/conformance/cmd/connectconformance@v1.0.5';
const folder = join(
  process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'),
  'imagemesh/connectconformance-1.0.5',
);
const server = ['node', '--import', 'tsx', 'test/conformance/server.ts'];
const maxBuffer = 64 * 1024 * 1024;

const runner = await findRunner();
if (runner === undefined) {
  print(
    `conformance skipped: it needs its runner, which is built by itself where Go 1.24 is there, or elsewhere by "go install ${module}" and put into ${folder}`,
  );
  print('0 passed, 0 failed');
} else {
  process.exitCode = (await runSuite(runner)) ? 0 : 1;
}

async function findRunner(): Promise<string | undefined> {
  const path = join(folder, 'connectconformance');
  if (await isThere(path)) return path;
  try {
    await promisify(execFile)('go', ['install', module], { env: { ...process.env, GOBIN: folder } });
    return path;
  } catch (error) {
    const { code, stderr = '' } = error as { code?: string | number; stderr?: string };
    if (code !== 'ENOENT') print(stderr.trim());
    return undefined;
  }
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function runSuite(runner: string): Promise<boolean> {
  const { total, failures } = await run(runner, []);
  const list = await readFile('test/conformance/known-failing.txt', 'utf8');
  let { unexpected, known, stale } = judge(failures, list);
  // A machine that stands still for seconds fails a whole server.
  if (unexpected.length > 0) {
    const names = unexpected.map(({ name }) => name);
    print(`again: ${names.length} cases`);
    const again = judge((await run(runner, names)).failures, list);
    known += again.known;
    unexpected = again.unexpected;
    stale = stale.filter((pattern) => again.stale.includes(pattern));
  }
  for (const { name, errors } of unexpected) print([`FAILED: ${name}`, ...errors].join('\n    '));
  for (const pattern of stale)
    print(`FAILED: nothing fails any more under ${pattern}: take it off known-failing.txt`);
  print(`${known} more fail for the reasons in test/conformance/known-failing.txt`);
  const failed = unexpected.length + stale.length;
  const passed = Math.max(0, total - known - unexpected.length);
  print(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0;
}

/** Only the cases named; all of them where none is. */
async function run(
  runner: string,
  names: readonly string[],
): Promise<{ readonly total: number; readonly failures: Failure[] }> {
  const args = ['--mode', 'server', '--max-servers', '2', '--conf', 'test/conformance/features.yaml'];
  const only = names.flatMap((name) => ['--run', name]);
  const output = await promisify(execFile)(runner, [...args, ...only, '--', ...server], { maxBuffer }).then(
    ({ stdout }) => stdout,
    // It exits with 1 where a case fails.
    (error: { stdout?: string; stderr?: string; code?: unknown }) => {
      if (error.code !== 1) throw error;
      return `${error.stdout}${error.stderr}`;
    },
  );
  const total = /^Total cases: (\d+)$/m.exec(output)?.[1];
  if (total === undefined) throw new Error(`the runner did not come to its end:\n${output.slice(-2000)}`);
  return { total: Number(total), failures: failuresIn(output) };
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
