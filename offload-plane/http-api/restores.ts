/** /v1/restores */
import { OperationView } from '../operations/operation.ts';
import type { Plane } from '../plane.ts';
import { answerLongCall } from './long-calls.ts';
import { Page, PageQuery, pageOf } from './pages.ts';
import { IdParams } from './schemas/common.ts';
import { RestoreBody, RestoreView } from './schemas/restores.ts';
import type { App } from './server.ts';

export function restoreRoutes(app: App, { containers, restores, operations }: Plane): void {
  const params = IdParams;
  app.get(
    '/v1/restores',
    { schema: { summary: 'List restores', querystring: PageQuery, response: { 200: Page(RestoreView) } } },
    ({ query }) => pageOf({ kind: 'restores', items: restores.list(), keyOf: ({ id }) => id }, query),
  );
  app.post(
    '/v1/restores',
    {
      schema: {
        summary: 'Restore a checkpoint into a guest; answers when the container runs, pages follow',
        body: RestoreBody,
        response: { 201: RestoreView, 202: OperationView },
      },
    },
    (request, reply) =>
      answerLongCall(
        operations,
        { request, reply },
        { kind: 'restore', subject: request.body.checkpoint },
        (following) => restores.create({ ...request.body, ...containers.place(request.body) }, following),
      ),
  );
  app.get(
    '/v1/restores/:id',
    { schema: { summary: 'Inspect a restore', params, response: { 200: RestoreView } } },
    (request) => restores.get(request.params.id),
  );
  app.post(
    '/v1/restores/:id/memory-comparison',
    {
      schema: {
        summary: "Compare the container's memory with the checkpoint, page by page",
        params,
        response: { 200: RestoreView },
      },
    },
    (request) => restores.compareMemory(request.params.id),
  );
}
