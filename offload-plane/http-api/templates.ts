/** /v1/templates */
import { OperationView } from '../operations/operation.ts';
import type { Plane } from '../plane.ts';
import { TemplateBody, TemplateRecord, TemplateRunBody } from '../templates/template.ts';
import { answerLongCall } from './long-calls.ts';
import { Page, PageQuery, pageOf } from './pages.ts';
import { NameParams, Nothing } from './schemas/common.ts';
import { ContainerView } from './schemas/containers.ts';
import type { App } from './server.ts';

export function templateRoutes(app: App, { templates, operations }: Plane): void {
  const params = NameParams;
  app.get(
    '/v1/templates',
    {
      schema: { summary: 'List templates', querystring: PageQuery, response: { 200: Page(TemplateRecord) } },
    },
    ({ query }) => pageOf({ kind: 'templates', items: templates.list(), keyOf: ({ name }) => name }, query),
  );
  app.post(
    '/v1/templates',
    {
      schema: {
        summary: 'Build a template: a container of an image, warmed up and checkpointed once',
        body: TemplateBody,
        response: { 201: TemplateRecord, 202: OperationView },
      },
    },
    (request, reply) =>
      answerLongCall(
        operations,
        { request, reply },
        { kind: 'template', subject: request.body.name },
        (following) => templates.create(request.body, following),
      ),
  );
  app.get(
    '/v1/templates/:name',
    { schema: { summary: 'Inspect a template', params, response: { 200: TemplateRecord } } },
    (request) => templates.get(request.params.name),
  );
  app.delete(
    '/v1/templates/:name',
    { schema: { summary: 'Remove a template and its checkpoint', params, response: { 204: Nothing } } },
    async (request, reply) => {
      await templates.remove(request.params.name);
      return reply.code(204).send();
    },
  );
  app.post(
    '/v1/templates/:name/run',
    {
      schema: {
        summary: 'Start a container from a template; answers when it runs, pages follow',
        params,
        body: TemplateRunBody,
        response: { 201: ContainerView },
      },
    },
    async (request, reply) => reply.code(201).send(await templates.run(request.params.name, request.body)),
  );
}
