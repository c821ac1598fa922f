import { runService } from '@imagemesh/observe';
import { envDocs, readConfig } from './config.ts';
import { startBalancer } from './server.ts';

await runService({
  name: 'balancer',
  start: ({ env }) => startBalancer(readConfig(env)),
  envDocs,
  readConfig,
});
