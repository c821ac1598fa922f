/**
 * A replica with timed service, as a process: `replica.ts <id> <slots>`. It does no work but takes as long as its speed says, first
 * come, first served. By IPC it is told its speed and when a pass begins, and to join a balancer or leave it.
 */
import { BalancerService, WorkerKind } from '@imagemesh/api';
import { createGrpcClient, IM_EXEC_MS, startRpcServer, wireHandler } from '@imagemesh/rpc';
import { SimReplica } from '../balancer-sim/sim-replica.ts';
import { type Order, path, trueWork } from './protocol.ts';

const [id = '', slotCount = '1'] = process.argv.slice(2);
const slots = Number(slotCount);
const reply = Buffer.alloc(20_000, 1);
let model = new SimReplica(0, { slots, speed: 1 });
let beganMs = performance.now();
let running = 0;
const queue: (() => void)[] = [];

const server = await startRpcServer({
  routes: () => {},
  streams: new Map([
    [
      path,
      wireHandler(async (call) => {
        await call.reader.message(1e6);
        if (running >= slots) await new Promise<void>((resolve) => queue.push(resolve));
        running++;
        try {
          const workMs = Number(call.headers[trueWork] ?? 0);
          const nowMs = performance.now() - beganMs;
          const execMs = model.endOf(workMs, nowMs) - nowMs;
          if (execMs > 0) await new Promise((resolve) => setTimeout(resolve, execMs));
          call.trailers[IM_EXEC_MS] = execMs.toFixed(2);
        } finally {
          running--;
          queue.shift()?.();
        }
        await call.writer.message(reply);
      }),
    ],
  ]),
});
const address = `127.0.0.1:${server.port}`;
let leave = () => {};

async function join(balancer: string): Promise<void> {
  const client = createGrpcClient(BalancerService, balancer);
  const call = client.join();
  const timer = setInterval(() => {
    call.send({ message: { case: 'report', value: { serving: true, inFlight: running } } }).catch(() => {});
  }, 250);
  leave = () => {
    clearInterval(timer);
    call.end();
    client.close();
  };
  const hello = {
    ...{ replicaId: id, address, worker: WorkerKind.RESIZE, hostId: id, slots, build: 'bench' },
    ...{ operations: ['resize'], idempotentMethods: [path] },
  };
  await call.send({ message: { case: 'hello', value: hello } });
  for await (const _message of call.messages);
}

process.on('message', (order: Order) => {
  switch (order.order) {
    case 'begin':
      model = new SimReplica(0, order.spec);
      beganMs = performance.now();
      break;
    case 'join':
      join(order.balancer).catch(() => {});
      break;
    case 'leave':
      leave();
      break;
    default:
      order satisfies never;
  }
});
process.on('disconnect', () => process.exit());
process.send?.({ address });
