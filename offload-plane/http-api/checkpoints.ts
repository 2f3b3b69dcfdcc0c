/** /v1/checkpoints */
import { CheckpointContents } from '../checkpoints/contents/contract.ts';
import { CheckpointDiff } from '../checkpoints/contents/diff-contract.ts';
import { OperationView } from '../operations/operation.ts';
import type { Plane } from '../plane.ts';
import { followTar } from './follow-tar.ts';
import { answerLongCall } from './long-calls.ts';
import { Page, PageQuery, pageOf } from './pages.ts';
import { CheckpointBody, CheckpointView, DiffQuery, ImportQuery } from './schemas/checkpoints.ts';
import { bodyOf, IdParams, Nothing, streamOf } from './schemas/common.ts';
import type { App } from './server.ts';
import { lengthOf, receivedOf, TAR_TYPE, tarBody } from './tar-body.ts';

export function checkpointRoutes(app: App, { checkpoints, operations }: Plane): void {
  const params = IdParams;
  app.get(
    '/v1/checkpoints',
    {
      schema: {
        summary: 'List checkpoints',
        querystring: PageQuery,
        response: { 200: Page(CheckpointView) },
      },
    },
    async ({ query }) =>
      pageOf({ kind: 'checkpoints', items: await checkpoints.list(), keyOf: ({ id }) => id }, query),
  );
  app.post(
    '/v1/checkpoints',
    {
      schema: {
        summary: 'Checkpoint a running container',
        body: CheckpointBody,
        response: { 201: CheckpointView, 202: OperationView },
      },
    },
    (request, reply) =>
      answerLongCall(
        operations,
        { request, reply },
        { kind: 'checkpoint', subject: request.body.container },
        (following) => checkpoints.create(request.body, following),
      ),
  );
  app.get(
    '/v1/checkpoints/:id',
    { schema: { summary: 'Inspect a checkpoint', params, response: { 200: CheckpointView } } },
    (request) => checkpoints.inspect(request.params.id),
  );
  app.get(
    '/v1/checkpoints/:id/contents',
    {
      schema: {
        summary: 'What a checkpoint holds: processes, handles, memory, working set',
        params,
        response: { 200: CheckpointContents },
      },
    },
    (request) => checkpoints.contents(request.params.id),
  );
  app.get(
    '/v1/checkpoints/:id/diff',
    {
      schema: {
        summary: 'How another checkpoint differs from this one',
        params,
        querystring: DiffQuery,
        response: { 200: CheckpointDiff },
      },
    },
    (request) => checkpoints.diff(request.params.id, request.query.with),
  );
  app.get(
    '/v1/checkpoints/:id/export',
    {
      schema: {
        summary: 'Export a checkpoint',
        description:
          "A tar of podman's layout, which checkpointctl reads; `import` takes it back. An operation (header `Operation-Location`) tells how far it is and can be cancelled: then the tar breaks off.",
        params,
        response: { 200: streamOf(TAR_TYPE, 'The checkpoint') },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const exported = await checkpoints.export(id);
      const { operation, stream } = followTar(operations, { kind: 'export', subject: id }, exported);
      return reply.header('operation-location', `/v1/operations/${operation.id}`).type(TAR_TYPE).send(stream);
    },
  );
  app.post(
    '/v1/checkpoints/import',
    {
      schema: {
        summary: 'Import a checkpoint that a plane exported',
        body: bodyOf(TAR_TYPE, 'What `export` gave'),
        querystring: ImportQuery,
        response: { 201: CheckpointView, 202: OperationView },
      },
    },
    async (request, reply) => {
      const tar = tarBody(request);
      return await answerLongCall(
        operations,
        { request, reply, received: receivedOf(tar) },
        { kind: 'import', subject: request.query.id ?? 'a tar' },
        (following) =>
          checkpoints.import(tar, { ...request.query, totalBytes: lengthOf(request) }, following),
      );
    },
  );
  app.put(
    '/v1/checkpoints/:id/pin',
    { schema: { summary: 'Pin a checkpoint', params, response: { 200: CheckpointView } } },
    (request) => checkpoints.pin(request.params.id),
  );
  app.delete(
    '/v1/checkpoints/:id/pin',
    { schema: { summary: 'Unpin a checkpoint', params, response: { 200: CheckpointView } } },
    (request) => checkpoints.unpin(request.params.id),
  );
  app.delete(
    '/v1/checkpoints/:id',
    { schema: { summary: 'Delete a checkpoint', params, response: { 204: Nothing } } },
    async (request, reply) => {
      await checkpoints.remove(request.params.id);
      return reply.code(204).send();
    },
  );
}
