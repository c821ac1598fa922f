import { afterEach, describe, expect, it } from 'vitest';
import { type Admin, startAdmin } from './admin.ts';
import { createMetrics } from './metrics.ts';

let admin: Admin | undefined;

afterEach(async () => {
  await admin?.close();
});

describe('the admin port', () => {
  it('serves metrics, health and readiness', async () => {
    const metrics = createMetrics('test');
    metrics.counter({ name: 'imagemesh_test_total', help: 'x' }).inc(3);
    let ready: true | string = 'no balancer';
    admin = await startAdmin({ metrics, isReady: () => ready });
    const get = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${admin?.port}${path}`);
      return { status: response.status, text: await response.text() };
    };
    expect((await get('/metrics')).text).toContain('imagemesh_test_total{service="test"} 3');
    expect(await get('/healthz')).toMatchObject({ status: 200 });
    expect(await get('/readyz')).toEqual({
      status: 503,
      text: '{"status":"not ready","reason":"no balancer"}\n',
    });
    ready = true;
    expect(await get('/readyz?verbose')).toMatchObject({ status: 200 });
    expect(await get('/other')).toMatchObject({ status: 404 });
    const post = await fetch(`http://127.0.0.1:${admin.port}/metrics`, { method: 'POST' });
    expect(post.status).toBe(405);
  });
});
