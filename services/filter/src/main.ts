import { runService } from '@imagemesh/observe';
import { startFilter } from './server.ts';

await runService({ name: 'filter', start: startFilter });
