/** POST /resize, /crop, /filter and GET /jobs/{id}: forms in, jobs out. */
import type { StoreImage } from '../store-image.ts';
import { readForm } from './form.ts';
import type { createJobRoutes } from './jobs.ts';
import { type Route, sendJson } from './route.ts';

export function jobRoutes(
  jobs: ReturnType<typeof createJobRoutes>,
  storeImage: StoreImage,
): readonly Route[] {
  const post = (kind: 'resize' | 'crop' | 'filter'): Route => ({
    method: 'POST',
    pattern: new RegExp(`^/${kind}$`),
    name: `/${kind}`,
    access: 'jobs',
    async serve(call) {
      const fields = await readForm(call.request, call.signal, async (bytes, filename) => {
        const { id } = await storeImage(call, bytes, { filename });
        return id;
      });
      for (const [name, value] of call.url.searchParams) if (!fields.has(name)) fields.set(name, value);
      const { status, body } = await jobs.post(call, kind, fields);
      sendJson(call.response, status, body, { location: `/jobs/${body.task_id}` });
    },
  });
  const get: Route = {
    method: 'GET',
    pattern: /^\/jobs\/([0-9A-HJKMNP-TV-Z]{26})$/,
    name: '/jobs/{id}',
    access: 'jobs',
    async serve(call) {
      const { status, body } = await jobs.get(call, call.params[0] ?? '');
      sendJson(call.response, status, body);
    },
  };
  return [post('resize'), post('crop'), post('filter'), get];
}
