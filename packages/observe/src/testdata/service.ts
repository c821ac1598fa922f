/** A tiny service for run.test.ts: a TCP listener that takes CLOSE_MS to close. */
import { createServer } from 'node:net';
import { createLogger, envInt, runService } from '../index.ts';

await runService({
  name: 'tiny',
  envDocs: [
    { name: 'PORT', default: '0', doc: 'Where to listen.' },
    { name: 'CLOSE_MS', default: '0', doc: 'How long closing takes.' },
  ],
  readConfig: (env) => ({
    port: envInt(env, 'PORT', { default: 0, min: 0, max: 65535 }),
    joinToken: 'hush',
    natsUrl: 'nats://user:pass@127.0.0.1:4222',
  }),
  start: async ({ env }) => {
    const port = envInt(env, 'PORT', { default: 0, min: 0, max: 65535 });
    const closeMs = envInt(env, 'CLOSE_MS', { default: 0 });
    const log = createLogger({ name: 'tiny' });
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    if (env.CRASH === 'true') setTimeout(() => Promise.reject(new Error('crashed on purpose')), 50);
    const address = server.address();
    return {
      address: `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
      log,
      close: async () => {
        await new Promise((resolve) => setTimeout(resolve, closeMs));
        server.close();
      },
    };
  },
});
