/** Builds the page: the only place that does. */
import { render } from 'preact';
import { App } from './app.tsx';
import { createFleet } from './fleet/fleet-state.ts';
import { createJobsBoard } from './jobs/jobs-state.ts';
import { createApiKey } from './mesh/api-key.ts';
import { createClients } from './mesh/clients.ts';
import { createCatalogue } from './playground/catalogue.ts';
import { createPlayground } from './playground/playground-state.ts';
import { createRouter } from './shell/route.ts';
import { createTheme } from './shell/theme.ts';
import './styles/index.css';
import { sampleUrl } from 'virtual:sample';

const root = document.getElementById('page');
if (root === null) throw new Error('the page has no root');

const theme = createTheme(document.documentElement, localStorage);
const router = createRouter(window);
const apiKey = createApiKey(sessionStorage);
const clients = createClients(window.location.origin, apiKey);
const catalogue = createCatalogue(clients);
const playground = createPlayground({ clients, catalogue, router, apiKey });
const fleet = createFleet(clients);
const jobs = createJobsBoard(clients);

// What was refused for want of a key is asked again with it.
apiKey.current.subscribe((key) => {
  if (key === '') return;
  playground.runner.again();
  fleet.link.retryNow();
});

void catalogue.load();
void playground.source.loadUrl(sampleUrl, 'sample.jpg');
render(<App {...{ theme, router, apiKey, clients, playground, fleet, jobs }} />, root);
