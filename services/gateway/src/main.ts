#!/usr/bin/env node
import { runService } from '@imagemesh/observe';
import { envDocs, readConfig } from './config.ts';
import { startGateway } from './server.ts';

await runService({ name: 'gateway', envDocs, readConfig, start: ({ env }) => startGateway(readConfig(env)) });
