/** A whole mesh of real processes, on free ports, in a folder of its own. Needs the built services (npm run build). */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  balancerSpec,
  type ChildSpec,
  gatewaySpec,
  type MeshSettings,
  replicaSpec,
  replicasReady,
  WORKER_KINDS,
  type WorkerKind,
} from '@imagemesh/cli';
import { startNats, type TestNats } from './nats.ts';
import { startProcess, type TestProcess } from './process.ts';

export interface MeshOptions {
  /** Default one of each. */
  readonly replicas?: Partial<Record<WorkerKind, number>>;
  /** Default 1. */
  readonly balancers?: number;
  /** Default 1. */
  readonly gateways?: number;
  /** Whether to start a nats-server. Default false: no jobs. */
  readonly nats?: boolean;
  /** Servers that the test runs itself, instead. */
  readonly natsUrl?: string;
  /** For every service, over the environment of the test. */
  readonly env?: Readonly<Record<string, string>>;
  /** For the replicas alone. */
  readonly replicaEnv?: Readonly<Record<string, string>>;
}

export interface TestMesh {
  /** http://host:port of the first gateway. */
  readonly gatewayUrl: string;
  /** host:port of the first gateway. */
  readonly gatewayAddress: string;
  /** host:port of each gateway. */
  readonly gatewayAddresses: readonly string[];
  /** host:port of each balancer. */
  readonly balancerAddresses: readonly string[];
  /** Empty without NATS. */
  readonly natsUrl: string;
  readonly nats: TestNats | undefined;
  readonly dataDir: string;
  /** Every process by its name: gateway (then gateway-2, …), balancer-1, resize-1, filter-1, … */
  process(name: string): TestProcess;
  /** Names of the replicas that run. */
  replicaNames(): readonly string[];
  /** What the process has written so far, one line an item. */
  logs(name: string): readonly string[];
  /** Sends a signal and, for SIGKILL and SIGTERM, waits until the process has ended. */
  kill(name: string, signal?: NodeJS.Signals): Promise<void>;
  /** Starts a process that was killed again, on its old port where it had one. */
  restart(name: string): Promise<void>;
  /** Adds a replica; resolves to its name once it is ready. It joins soon after: see `allJoined`. */
  addReplica(kind: WorkerKind): Promise<string>;
  /** Resolves once every balancer that runs has that many replicas that take work (default: all that run). */
  allJoined(count?: number): Promise<void>;
  /** Ends everything and deletes the folder. */
  stop(): Promise<void>;
}

const joinTimeoutMs = 20_000;

/** Starts it and waits until every replica has joined. Call `stop` in afterAll. */
export async function startMesh(options: MeshOptions = {}): Promise<TestMesh> {
  const { replicas = {}, balancers = 1, gateways = 1, nats: wantsNats = false } = options;
  const { natsUrl = '', env = {}, replicaEnv = {} } = options;
  const dataDir = await mkdtemp(join(tmpdir(), 'imagemesh-'));
  const specs = new Map<string, ChildSpec>();
  const running = new Map<string, TestProcess>();
  const lives = new Map<string, number>();
  let nats: TestNats | undefined;

  async function run(spec: ChildSpec): Promise<TestProcess> {
    const started = await startProcess(spec);
    specs.set(spec.name, spec);
    running.set(spec.name, started);
    void started.exited.then(() => {
      if (running.get(spec.name) === started) running.delete(spec.name);
    });
    return started;
  }

  async function stop(): Promise<void> {
    const ofKind = (isKind: (name: string) => boolean) =>
      [...running.values()].filter(({ name }) => isKind(name));
    await Promise.all(ofKind((name) => name.startsWith('gateway')).map((member) => member.stop()));
    await Promise.all(ofKind((name) => name.startsWith('balancer')).map((member) => member.stop()));
    await Promise.all(ofKind(() => true).map((member) => member.stop()));
    await nats?.stop();
    await rm(dataDir, { recursive: true, force: true });
  }

  try {
    const base = { LOG_LEVEL: 'info', ...process.env, ...env };
    if (wantsNats) nats = await startNats();
    const bare: MeshSettings = { dataDir, balancers: [], natsUrl: nats?.url ?? natsUrl, env: base };
    const started = await Promise.all(
      numbered('balancer', balancers).map((name) =>
        run(balancerSpec(name, { host: '127.0.0.1', port: 0 }, bare)),
      ),
    );
    const settings: MeshSettings = { ...bare, balancers: started.map(({ address }) => address) };
    const replicaSettings = { ...settings, env: { ...base, ...replicaEnv } };
    const counts: Record<WorkerKind, number> = { resize: 1, filter: 1, ...replicas };
    const specOf = (kind: WorkerKind, name: string) => {
      const life = (lives.get(name) ?? 0) + 1;
      lives.set(name, life);
      return { ...replicaSpec(kind, name, life, replicaSettings), name };
    };
    const [fronts] = await Promise.all([
      Promise.all(
        ['gateway', ...numbered('gateway', gateways).slice(1)].map((name) =>
          run(gatewaySpec(name, { host: '127.0.0.1', port: 0 }, settings)),
        ),
      ),
      ...WORKER_KINDS.flatMap((kind) => numbered(kind, counts[kind]).map((name) => run(specOf(kind, name)))),
    ]);
    const gatewayAddresses = fronts.map(({ address }) => address);
    const [gatewayAddress = ''] = gatewayAddresses;
    const gatewayUrl = `http://${gatewayAddress}`;
    const kindOf = (name: string) => WORKER_KINDS.find((kind) => name.startsWith(`${kind}-`));
    const find = (name: string) => {
      const found = running.get(name);
      if (found === undefined)
        throw new Error(`no process ${name} runs; there are ${[...running.keys()].join(', ')}`);
      return found;
    };
    // A process keeps its port when it starts again, as under the launcher; a replica gets a new one.
    for (const spec of specs.values()) {
      const at = running.get(spec.name)?.address.split(':').at(-1);
      if (kindOf(spec.name) === undefined && at !== undefined) {
        specs.set(spec.name, { ...spec, env: { ...spec.env, PORT: at } });
      }
    }

    const mesh: TestMesh = {
      gatewayUrl,
      gatewayAddress,
      gatewayAddresses,
      balancerAddresses: settings.balancers,
      natsUrl: settings.natsUrl,
      nats,
      dataDir,
      process: find,
      replicaNames: () => [...running.keys()].filter((name) => kindOf(name) !== undefined),
      logs: (name) => find(name).lines,
      async kill(name, signal = 'SIGKILL') {
        const target = find(name);
        target.signal(signal);
        if (signal === 'SIGKILL' || signal === 'SIGTERM') await target.exited;
      },
      async restart(name) {
        const kind = kindOf(name);
        const spec = kind === undefined ? specs.get(name) : specOf(kind, name);
        if (spec === undefined) throw new Error(`no process ${name} was ever started`);
        await run(spec);
      },
      async addReplica(kind) {
        const taken = [...specs.keys()].filter((name) => name.startsWith(`${kind}-`)).length;
        const name = `${kind}-${taken + 1}`;
        await run(specOf(kind, name));
        return name;
      },
      async allJoined(count = mesh.replicaNames().length) {
        const admin = (name: string) => new URL(find(name).adminUrl).host;
        const balancerNames = [...running.keys()].filter((name) => name.startsWith('balancer-'));
        const ports = { gateway: admin('gateway'), balancers: balancerNames.map(admin) };
        if (await replicasReady(ports, count, AbortSignal.timeout(joinTimeoutMs))) return;
        throw new Error(`after ${joinTimeoutMs} ms not all of ${count} replicas had joined`);
      },
      stop,
    };
    await mesh.allJoined();
    return mesh;
  } catch (error) {
    await stop();
    throw error;
  }
}

function numbered(kind: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${kind}-${index + 1}`);
}
