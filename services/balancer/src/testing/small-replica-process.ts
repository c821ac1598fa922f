/**
 * A small replica as a process of its own: `small-replica-process.ts <balancers> <id> <work ms> [build]`. By IPC it is told
 * how to behave from then on, and to leave.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { echo, startSmallReplica } from './small-replica.ts';

/** What the test sends. */
export type Order =
  | { readonly order: 'work'; readonly ms: number }
  /** Takes calls and never answers. */
  | { readonly order: 'hang' }
  /** Answers INTERNAL after 1 ms. */
  | { readonly order: 'fail' }
  | { readonly order: 'leave' };

const [balancer = '', id = '', workMs = '0', build = 'test'] = process.argv.slice(2);
let behaviour: Order = { order: 'work', ms: Number(workMs) };
const replica = await startSmallReplica(balancer, {
  id,
  slots: 2,
  build,
  serve: async (call) => {
    if (behaviour.order === 'hang') await sleep(3_600_000, undefined, { signal: call.signal });
    if (behaviour.order === 'fail') {
      await sleep(1);
      throw new Error('broken');
    }
    const startedMs = performance.now();
    if (behaviour.order === 'work') await sleep(behaviour.ms, undefined, { signal: call.signal });
    call.trailers['im-exec-ms'] = (performance.now() - startedMs).toFixed(2);
    await echo(call);
  },
});
process.on('message', (order: Order) => {
  if (order.order === 'leave') void replica.leave().then(() => process.exit());
  else behaviour = order;
});
process.on('disconnect', () => process.exit());
process.send?.({ type: 'ready', address: replica.address });
