/** /v1/images */
import type { Plane } from '../plane.ts';
import { Page, PageQuery, pageOf } from './pages.ts';
import { Nothing } from './schemas/common.ts';
import { ImageBody, ImageParams, ImageView } from './schemas/images.ts';
import type { App } from './server.ts';

export function imageRoutes(app: App, { images }: Plane): void {
  const params = ImageParams;
  app.get(
    '/v1/images',
    { schema: { summary: 'List images', querystring: PageQuery, response: { 200: Page(ImageView) } } },
    async ({ query }) =>
      pageOf({ kind: 'images', items: await images.list(), keyOf: ({ digest }) => digest }, query),
  );
  app.post(
    '/v1/images',
    {
      schema: {
        summary: 'Import an OCI image layout, a directory or a tar on the plane',
        body: ImageBody,
        response: { 201: ImageView },
      },
    },
    async (request, reply) => reply.code(201).send(await images.import(request.body)),
  );
  app.get(
    '/v1/images/:image',
    { schema: { summary: 'Inspect an image', params, response: { 200: ImageView } } },
    (request) => images.get(request.params.image),
  );
  app.delete(
    '/v1/images/:image',
    { schema: { summary: 'Remove an image', params, response: { 204: Nothing } } },
    async (request, reply) => {
      await images.remove(request.params.image);
      return reply.code(204).send();
    },
  );
}
