/** /v1/operations */
import { Type } from 'typebox';
import { OperationPhase, OperationView } from '../operations/operation.ts';
import type { Plane } from '../plane.ts';
import { sendLines } from './ndjson.ts';
import { Page, pageOf, pageQuery } from './pages.ts';
import { IdParams, streamOf, strict } from './schemas/common.ts';
import type { App } from './server.ts';

const OperationQuery = Type.Object({ ...pageQuery, phase: Type.Optional(OperationPhase) }, strict);

export function operationRoutes(app: App, { operations }: Plane): void {
  const params = IdParams;
  app.get(
    '/v1/operations',
    {
      schema: {
        summary: 'List operations',
        querystring: OperationQuery,
        response: { 200: Page(OperationView) },
      },
    },
    ({ query: { phase: wanted, ...page } }) => {
      const items = operations.list().filter(({ phase }) => wanted === undefined || phase === wanted);
      return pageOf({ kind: 'operations', items, keyOf: ({ id }) => id }, page);
    },
  );
  app.get(
    '/v1/operations/:id',
    { schema: { summary: 'Inspect an operation', params, response: { 200: OperationView } } },
    (request) => operations.get(request.params.id),
  );
  app.get(
    '/v1/operations/:id/events',
    {
      schema: {
        summary: "An operation's progress until it ends",
        params,
        response: { 200: streamOf('application/x-ndjson', 'One event a line: {at, phase, progress}') },
      },
    },
    (request, reply) => {
      operations.get(request.params.id);
      return sendLines(reply, (signal) => operations.events(request.params.id, signal));
    },
  );
  app.post(
    '/v1/operations/:id/cancel',
    {
      schema: {
        summary: 'Ask an operation to end; what it has made goes',
        params,
        response: { 200: OperationView },
      },
    },
    (request) => operations.cancel(request.params.id),
  );
}
