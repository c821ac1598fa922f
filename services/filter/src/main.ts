import { runService } from '@imagemesh/observe';
import { filterEnvDocs, readConfig } from './config.ts';
import { startFilter } from './server.ts';

await runService({ name: 'filter', start: startFilter, envDocs: filterEnvDocs, readConfig });
