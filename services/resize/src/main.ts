import { runService } from '@imagemesh/observe';
import { envDocs, readConfig } from './config.ts';
import { startResize } from './server.ts';

await runService({ name: 'resize', start: ({ env }) => startResize(readConfig(env)), envDocs, readConfig });
