import { health, reflectionV1, WorkerKind } from '@imagemesh/api';
import { createGrpcClient } from '@imagemesh/rpc';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from './config.ts';
import { startBalancer } from './server.ts';
import { type SmallMesh, startSmallMesh, until } from './testing/small-mesh.ts';

let mesh: SmallMesh;
beforeEach(async () => {
  mesh = await startSmallMesh();
});
afterEach(() => mesh.close());

const admin = async (path: string) => {
  const response = await fetch(`http://${mesh.balancer.adminAddress}${path}`);
  return { status: response.status, text: await response.text() };
};

describe('startBalancer', () => {
  it('tells grpc.health.v1 which work it can route', async () => {
    const client = createGrpcClient(health.Health, mesh.balancer.address);
    const status = async (service: string) => (await client.check({ service })).status;
    expect(await status('')).toBe(health.HealthCheckResponse_ServingStatus.SERVING);
    expect(await status('imagemesh.v1.FilterService')).toBe(
      health.HealthCheckResponse_ServingStatus.NOT_SERVING,
    );
    const replica = await mesh.replica({ id: 'f', worker: WorkerKind.FILTER });
    expect(await status('imagemesh.v1.FilterService')).toBe(health.HealthCheckResponse_ServingStatus.SERVING);
    replica.kill();
    await until(
      async () =>
        (await status('imagemesh.v1.FilterService')) === health.HealthCheckResponse_ServingStatus.NOT_SERVING,
    );
    client.close();
  });

  it('lists its services by reflection', async () => {
    const client = createGrpcClient(reflectionV1.ServerReflection, mesh.balancer.address);
    const call = client.serverReflectionInfo();
    await call.send({ messageRequest: { case: 'listServices', value: '' } });
    const { value } = await call.messages[Symbol.asyncIterator]().next();
    const listed =
      value?.messageResponse.case === 'listServicesResponse' ? value.messageResponse.value.service : [];
    expect(listed.map((service: { name: string }) => service.name)).toEqual(
      expect.arrayContaining([
        'imagemesh.v1.BalancerService',
        'imagemesh.v1.ResizeService',
        'grpc.health.v1.Health',
      ]),
    );
    call.cancel();
    client.close();
  });

  it('shows queue, waits, replicas and retries to Prometheus, and says that it is ready', async () => {
    await mesh.replica({ id: 'a' });
    await mesh.call({ body: new Uint8Array(1000) });
    const { text } = await admin('/metrics');
    expect(text).toMatch(/imagemesh_balancer_calls_total\{worker="resize",status="0",service="balancer"\} 1/);
    expect(text).toMatch(/imagemesh_balancer_replicas\{worker="resize",state="ready",service="balancer"\} 1/);
    expect(text).toMatch(/imagemesh_balancer_queue_calls\{worker="resize",service="balancer"\} 0/);
    expect(text).toMatch(/imagemesh_balancer_wait_seconds_count\{.*class="default".*\} 1/);
    expect(text).toMatch(/imagemesh_balancer_body_bytes_total\{direction="up",service="balancer"\} 10\d\d/);
    expect(text).toMatch(/imagemesh_balancer_held_bytes\{service="balancer"\} 0/);
    expect(await admin('/readyz')).toMatchObject({ status: 200 });
    expect(await admin('/healthz')).toMatchObject({ status: 200 });
  });

  it('fails at once on a port in use, and leaves nothing behind', async () => {
    const port = mesh.balancer.address.split(':')[1];
    const config = readConfig({ PORT: port, LOG_LEVEL: 'silent' });
    await expect(startBalancer(config)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    const adminPort = mesh.balancer.adminAddress?.split(':')[1];
    const otherConfig = readConfig({ PORT: '0', ADMIN_PORT: adminPort, LOG_LEVEL: 'silent' });
    await expect(startBalancer(otherConfig)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});
