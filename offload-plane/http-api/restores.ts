/** /v1/restores */
import type { Plane } from '../plane.ts';
import { IdParams, RestoreBody } from './schemas.ts';
import type { App } from './server.ts';

export function restoreRoutes(app: App, { restores }: Plane): void {
  const params = IdParams;
  app.get('/v1/restores', { schema: { summary: 'List restores' } }, () => restores.list());
  app.post(
    '/v1/restores',
    {
      schema: {
        summary: 'Restore a checkpoint into a guest; answers when the container runs, pages follow',
        body: RestoreBody,
      },
    },
    async (request, reply) => reply.code(201).send(await restores.create(request.body)),
  );
  app.get('/v1/restores/:id', { schema: { summary: 'Inspect a restore', params } }, (request) =>
    restores.get(request.params.id),
  );
  app.post(
    '/v1/restores/:id/memory-comparison',
    { schema: { summary: "Compare the container's memory with the checkpoint, page by page", params } },
    (request) => restores.compareMemory(request.params.id),
  );
}
