/** Ten thousand requests of each kind at a gateway that has API keys and keys of signed URLs. */
import { keyedKinds } from '../hostile/keyed-kinds.ts';
import { startKeyedMesh } from '../hostile/keyed-target.ts';
import { describeHostileRequests, hostileEnv } from '../hostile/suite.ts';

describeHostileRequests({
  kinds: keyedKinds,
  async start() {
    const { mesh, target, stop } = await startKeyedMesh(hostileEnv);
    return { mesh, target, apiKey: target.keys.owner, stop };
  },
});
