/** /v1/volumes */
import type { Plane } from '../plane.ts';
import { Page, PageQuery, pageOf } from './pages.ts';
import { Nothing } from './schemas/common.ts';
import { PruneView } from './schemas/images.ts';
import { VolumeBody, VolumeParams, VolumeView } from './schemas/volumes.ts';
import type { App } from './server.ts';

export function volumeRoutes(app: App, { volumes }: Plane): void {
  const params = VolumeParams;
  app.get(
    '/v1/volumes',
    { schema: { summary: 'List volumes', querystring: PageQuery, response: { 200: Page(VolumeView) } } },
    async ({ query }) =>
      pageOf({ kind: 'volumes', items: await volumes.list(), keyOf: ({ name }) => name }, query),
  );
  app.post(
    '/v1/volumes',
    { schema: { summary: 'Make a volume', body: VolumeBody, response: { 201: VolumeView } } },
    async (request, reply) => reply.code(201).send(await volumes.create(request.body)),
  );
  app.post(
    '/v1/volumes/prune',
    { schema: { summary: 'Remove the volumes that no container has', response: { 200: PruneView } } },
    () => volumes.prune(),
  );
  app.get(
    '/v1/volumes/:volume',
    { schema: { summary: 'Inspect a volume', params, response: { 200: VolumeView } } },
    (request) => volumes.get(request.params.volume),
  );
  app.delete(
    '/v1/volumes/:volume',
    { schema: { summary: 'Remove a volume and its data', params, response: { 204: Nothing } } },
    async (request, reply) => {
      await volumes.remove(request.params.volume);
      return reply.code(204).send();
    },
  );
}
