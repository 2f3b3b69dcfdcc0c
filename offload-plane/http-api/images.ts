/** /v1/images */
import type { Plane } from '../plane.ts';
import { ImageBody, ImageParams } from './schemas.ts';
import type { App } from './server.ts';

export function imageRoutes(app: App, { images }: Plane): void {
  app.get('/v1/images', { schema: { summary: 'List images' } }, () => images.list());
  app.post(
    '/v1/images',
    { schema: { summary: 'Import an OCI image layout, a directory or a tar on the plane', body: ImageBody } },
    async (request, reply) => reply.code(201).send(await images.import(request.body)),
  );
  app.get('/v1/images/:image', { schema: { summary: 'Inspect an image', params: ImageParams } }, (request) =>
    images.get(request.params.image),
  );
  app.delete(
    '/v1/images/:image',
    { schema: { summary: 'Remove an image', params: ImageParams } },
    async (request, reply) => {
      await images.remove(request.params.image);
      return reply.code(204).send();
    },
  );
}
