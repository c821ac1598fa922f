import { quadrants, startMesh } from '@imagemesh/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attack } from '../hostile/attack.ts';
import { kinds } from '../hostile/kinds.ts';
import type { Ending } from '../hostile/target.ts';
import { readVitals } from '../hostile/vitals.ts';

let mesh: Awaited<ReturnType<typeof startMesh>>;
let endings: Map<string, Record<Ending, number>>;

beforeAll(async () => {
  mesh = await startMesh({
    replicas: { resize: 1, filter: 0 },
    env: {
      HEADERS_TIMEOUT_MS: '400',
      BODY_TIMEOUT_MS: '1000',
      STALL_TIMEOUT_MS: '1000',
    },
  });
  const { hostname: host, port } = new URL(mesh.gatewayUrl);
  // All at once; test/slow has ten thousand of each.
  const counts = await Promise.all(
    kinds.map(async (kind) => {
      const count = await attack(kind, { host, port: Number(port) }, { requests: 16 });
      return [kind.name, count] as const;
    }),
  );
  endings = new Map(counts);
});
afterAll(async () => {
  await mesh?.stop();
});

describe('the port', () => {
  it.each(kinds)('refuses or closes: $name', ({ name, endings: expected }) => {
    const counts = endings.get(name);
    const seen = Object.entries(counts ?? {}).filter(([, count]) => count > 0);
    expect(seen.length).toBeGreaterThan(0);
    for (const [ending] of seen) expect(expected, JSON.stringify(counts)).toContain(ending);
  });

  it('serves on, and keeps nothing of them', async () => {
    const data = (await quadrants({ width: 32, height: 32 })).toString('base64');
    const reply = await fetch(`${mesh.gatewayUrl}/imagemesh.v1.ImageService/Transform`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: JSON.stringify({ source: { data }, operations: [{ resize: { width: 16 } }] }),
    });
    expect(reply.status).toBe(200);
    await reply.arrayBuffer();
    const left = async () => {
      const { requests, connections } = await readVitals(mesh.process('gateway').adminUrl);
      return { requests, connections };
    };
    await expect.poll(left, { timeout: 15_000 }).toEqual({ requests: 0, connections: 0 });
  });
});
