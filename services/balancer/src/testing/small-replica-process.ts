/** A small replica as a process of its own: `small-replica-process.ts <balancer> <id> <work ms>`. */
import { setTimeout as sleep } from 'node:timers/promises';
import { echo, startSmallReplica } from './small-replica.ts';

const [balancer = '', id = '', workMs = '0'] = process.argv.slice(2);
const replica = await startSmallReplica(balancer, {
  id,
  slots: 2,
  serve: async (call) => {
    await sleep(Number(workMs), undefined, { signal: call.signal });
    await echo(call);
  },
});
process.on('disconnect', () => process.exit());
process.send?.({ type: 'ready', address: replica.address });
