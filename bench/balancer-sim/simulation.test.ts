import { seededRandom } from '@imagemesh/testkit';
import { describe, expect, it } from 'vitest';
import { policies } from './policies.ts';
import { scenarios } from './scenarios.ts';
import { type Done, simulate } from './simulation.ts';

/** In virtual time, so the same on every machine. */
function run(scenarioName: string, policyName: string, jobs = 4000): readonly Done[] {
  const scenario = scenarios.find(({ name }) => name === scenarioName);
  const make = policies[policyName];
  if (scenario === undefined || make === undefined) throw new Error('no such scenario or policy');
  const { replicas: specs, deadlineMs, ...made } = scenario.make(jobs, seededRandom(1));
  const those = Array.from({ length: made.balancers ?? 1 }, make);
  return simulate({ specs, deadlineMs, jobs: made.jobs, policies: those, rng: seededRandom(2) });
}

/** In ascending order. */
function latencies(scenario: string, policy: string, jobs?: number): number[] {
  return run(scenario, policy, jobs)
    .map(({ latencyMs }) => latencyMs)
    .sort((a, b) => a - b);
}

const quantile = (sorted: number[], q: number) => sorted[Math.ceil(q * sorted.length) - 1] ?? 0;

it('a slot does its work at the speed of each moment', () => {
  const changes = [
    { atMs: 10, factor: 0 },
    { atMs: 30, factor: 0.5 },
  ];
  const job = { id: 0, arrivedMs: 0, workMs: 20, costMs: 20, callClass: 'default' as const };
  const times = (slots: number) =>
    simulate({
      specs: [{ slots, speed: 1, changes }],
      jobs: [job, { ...job, id: 1 }],
      policies: [roundRobin()],
      rng: () => 0,
    }).map(({ latencyMs }) => latencyMs);
  expect(times(2)).toEqual([50, 50]);
  expect(times(1)).toEqual([50, 90]);
});

it.each(Object.keys(policies))('%s loses no job', (name) => {
  expect(latencies('S5 stalls', name, 1000)).toHaveLength(1000);
});

describe('earliest expected finish', () => {
  it.each(['S2 mixed 0.75', 'S4 one slow'])('cuts the tail of %s', (scenario) => {
    const ours = latencies(scenario, 'imagemesh');
    const others = latencies(scenario, 'least connections');
    expect(quantile(ours, 0.99)).toBeLessThan(0.8 * quantile(others, 0.99));
    expect(quantile(ours, 0.999)).toBeLessThan(0.5 * quantile(others, 0.999));
  });

  it.each(['S6 black hole', 'S7 sinkhole', 'S8 killed', 'S9 rolling restart', 'S10 join and leave'])(
    'fails no call in %s',
    (scenario) => {
      expect(run(scenario, 'imagemesh').filter(({ isFailed }) => isFailed)).toEqual([]);
    },
  );

  it('is no worse than a central queue where all replicas are alike', () => {
    const ours = latencies('S1 alike 0.75', 'imagemesh');
    expect(quantile(ours, 0.99)).toBeLessThan(
      1.03 * quantile(latencies('S1 alike 0.75', 'central queue'), 0.99),
    );
  });
});

function roundRobin() {
  const policy = policies['round robin']?.();
  if (policy === undefined) throw new Error('no such policy');
  return policy;
}

it('two balancers over one fleet lose nothing and run no slot twice', () => {
  const done = run('S17 two balancers', 'imagemesh', 2000);
  expect(done.length).toBe(2000);
  expect(done.filter(({ isFailed }) => isFailed)).toEqual([]);
});

it('under overload critical calls are answered, where a plain queue fails them like the others', () => {
  const failed = (policy: string) =>
    run('S12 overload', policy, 15_000).filter(
      ({ job, isFailed }) => isFailed && job.callClass === 'critical',
    ).length;
  expect(failed('imagemesh')).toBeLessThan(10);
  expect(failed('central queue')).toBeGreaterThan(100);
});
