/** /v1/checkpoints */
import type { Plane } from '../plane.ts';
import { CheckpointBody, IdParams } from './schemas.ts';
import type { App } from './server.ts';

export function checkpointRoutes(app: App, { checkpoints }: Plane): void {
  const params = IdParams;
  app.get('/v1/checkpoints', { schema: { summary: 'List checkpoints' } }, () => checkpoints.list());
  app.post(
    '/v1/checkpoints',
    { schema: { summary: 'Checkpoint a running container', body: CheckpointBody } },
    async (request, reply) => reply.code(201).send(await checkpoints.create(request.body)),
  );
  app.get('/v1/checkpoints/:id', { schema: { summary: 'Inspect a checkpoint', params } }, (request) =>
    checkpoints.inspect(request.params.id),
  );
  app.put('/v1/checkpoints/:id/pin', { schema: { summary: 'Pin a checkpoint', params } }, (request) =>
    checkpoints.pin(request.params.id),
  );
  app.delete('/v1/checkpoints/:id/pin', { schema: { summary: 'Unpin a checkpoint', params } }, (request) =>
    checkpoints.unpin(request.params.id),
  );
  app.delete(
    '/v1/checkpoints/:id',
    { schema: { summary: 'Delete a checkpoint', params } },
    async (request, reply) => {
      await checkpoints.remove(request.params.id);
      return reply.code(204).send();
    },
  );
}
