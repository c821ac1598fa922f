/**
 * The balancer's dispatch against others, in virtual time: the very files of services/balancer, no sockets.
 *
 *   npm run bench:balancer-sim [-- --jobs 15000 --seeds 5 --only S2,S4 --json result.json --plots docs/balancing]
 *
 * Each policy gets the same arrivals and the same mishaps, seed by seed; figures are means over the seeds. p99 of the slowdown is
 * time over the work in reference-ms.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { seededRandom } from '@imagemesh/testkit';
import { barChart, drawn } from './balancer-sim/plot.ts';
import { policies } from './balancer-sim/policies.ts';
import { type Scenario, scenarios } from './balancer-sim/scenarios.ts';
import { type Done, type Policy, simulate } from './balancer-sim/simulation.ts';

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '15000' },
    seeds: { type: 'string', default: '5' },
    only: { type: 'string' },
    json: { type: 'string' },
    plots: { type: 'string' },
  },
});
const jobs = Number(values.jobs);
const seeds = Array.from({ length: Number(values.seeds) }, (_, index) => index + 1);
const only = values.only?.split(',');

interface Figures {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  readonly slowdown99: number;
  /** Calls that failed. */
  readonly failed: number;
  /** Of those, the critical ones. */
  readonly failedCritical: number;
  /** Reference-ms of work done in time, a ms. */
  readonly goodput: number;
}

const results: { scenario: string; policy: string; figures: Figures }[] = [];
console.log(`${jobs} jobs, ${seeds.length} seeds; ms\n`);
for (const scenario of scenarios) {
  if (only !== undefined && !only.some((name) => scenario.name.startsWith(name))) continue;
  console.log(`${scenario.name}: ${scenario.doc}\n`);
  console.log(
    '| policy | p50 | p99 | p99.9 | max | slowdown p99 | goodput | failed | critical |\n|---|---|---|---|---|---|---|---|---|',
  );
  for (const [policy, make] of Object.entries(policies)) {
    const figures = mean(seeds.map((seed) => runOnce(scenario, make, seed)));
    results.push({ scenario: scenario.name, policy, figures });
    const { p50, p99, p999, max, slowdown99, goodput, failed, failedCritical } = figures;
    console.log(
      `| ${policy} | ${[p50, p99, p999, max, slowdown99, goodput, failed, failedCritical].map((ms) => ms.toFixed(ms < 100 ? 1 : 0)).join(' | ')} |`,
    );
  }
  console.log('');
}
if (values.json !== undefined)
  await writeFile(values.json, `${JSON.stringify({ jobs, seeds, results }, null, 2)}\n`);

if (values.plots !== undefined) {
  await mkdir(values.plots, { recursive: true });
  for (const [key, title] of [
    ['p99', '99th percentile of the time of a call, times the clairvoyant one'],
    ['p999', '99.9th percentile of the time of a call, times the clairvoyant one'],
  ] as const) {
    await writeFile(`${values.plots}/${key}.svg`, barChart(title, ratiosOf(key)));
  }
}

function ratiosOf(key: keyof Figures) {
  const best = new Map(
    results
      .filter(({ policy }) => policy === 'clairvoyant')
      .map(({ scenario, figures }) => [scenario, figures[key]]),
  );
  return results
    .filter(({ policy }) => drawn.includes(policy))
    .map(({ scenario, policy, figures }) => ({
      scenario,
      policy,
      ratio: figures[key] / (best.get(scenario) ?? 1),
    }));
}

function runOnce(scenario: Scenario, make: () => Policy, seed: number): Figures {
  const run = scenario.make(jobs, seededRandom(seed));
  const { replicas: specs, jobs: arriving, deadlineMs, balancers = 1 } = run;
  const policies = Array.from({ length: balancers }, make);
  const rng = seededRandom(seed + 1000);
  return figuresOf(simulate({ specs, jobs: arriving, policies, rng, deadlineMs }));
}

function figuresOf(done: readonly Done[]): Figures {
  const latencies = done.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
  const slowdowns = done.map(({ latencyMs, job }) => latencyMs / job.workMs).sort((a, b) => a - b);
  return {
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    p999: quantile(latencies, 0.999),
    max: latencies.at(-1) ?? 0,
    slowdown99: quantile(slowdowns, 0.99),
    failed: done.filter(({ isFailed }) => isFailed).length,
    failedCritical: done.filter(({ isFailed, job }) => isFailed && job.callClass === 'critical').length,
    goodput: goodputOf(done),
  };
}

function goodputOf(done: readonly Done[]): number {
  const lengthMs = Math.max(...done.map(({ job, latencyMs }) => job.arrivedMs + latencyMs));
  return done.reduce((sum, { job, isFailed }) => sum + (isFailed ? 0 : job.workMs), 0) / lengthMs;
}

/** Nearest rank. */
function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? 0;
}

function mean(all: readonly Figures[]): Figures {
  const of = (key: keyof Figures) => all.reduce((sum, figures) => sum + figures[key], 0) / all.length;
  return {
    ...{ p50: of('p50'), p99: of('p99'), p999: of('p999'), max: of('max') },
    ...{
      slowdown99: of('slowdown99'),
      failed: of('failed'),
      failedCritical: of('failedCritical'),
      goodput: of('goodput'),
    },
  };
}
