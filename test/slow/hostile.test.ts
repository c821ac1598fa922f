/** Ten thousand requests of each kind at a gateway that asks for no keys. */
import { startMesh } from '@imagemesh/testkit';
import { kinds } from '../hostile/kinds.ts';
import { describeHostileRequests, hostileEnv } from '../hostile/suite.ts';

describeHostileRequests({
  kinds,
  async start() {
    const mesh = await startMesh({ replicas: { resize: 1, filter: 0 }, env: hostileEnv });
    const { hostname: host, port } = new URL(mesh.gatewayUrl);
    return { mesh, target: { host, port: Number(port) }, stop: () => mesh.stop() };
  },
});
