import { runService } from '@imagemesh/observe';
import { envDocs, readConfig } from './config.ts';
import { startFilter } from './server.ts';

await runService({ name: 'filter', start: ({ env }) => startFilter(readConfig(env)), envDocs, readConfig });
