/** /v1/containers */
import { viewOf } from '../containers/container.ts';
import type { Plane } from '../plane.ts';
import { ContainerBody, KillBody, NameParams, RenameBody } from './schemas.ts';
import type { App } from './server.ts';

export function containerRoutes(app: App, { containers, restores }: Plane): void {
  const params = NameParams;
  app.get('/v1/containers', { schema: { summary: 'List containers' } }, () => containers.list());
  app.post(
    '/v1/containers',
    { schema: { summary: 'Create a container in a guest', body: ContainerBody } },
    async (request, reply) => reply.code(201).send(await containers.create(request.body)),
  );
  app.get('/v1/containers/:name', { schema: { summary: 'Inspect a container', params } }, (request) =>
    viewOf(containers.get(request.params.name)),
  );
  app.post(
    '/v1/containers/:name/start',
    { schema: { summary: 'Start a created container', params } },
    (request) => containers.start(request.params.name),
  );
  app.post(
    '/v1/containers/:name/kill',
    { schema: { summary: 'Send a signal to a container', params, body: KillBody } },
    (request) => containers.kill(request.params.name, request.body.signal),
  );
  app.post(
    '/v1/containers/:name/pause',
    { schema: { summary: 'Pause a running container', params } },
    (request) => containers.pause(request.params.name),
  );
  app.post(
    '/v1/containers/:name/resume',
    { schema: { summary: 'Resume a paused container', params } },
    (request) => containers.resume(request.params.name),
  );
  app.post(
    '/v1/containers/:name/rename',
    { schema: { summary: 'Give a container another name', params, body: RenameBody } },
    (request) => containers.rename(request.params.name, request.body.name),
  );
  app.delete(
    '/v1/containers/:name',
    { schema: { summary: 'End and delete a container', params } },
    async (request, reply) => {
      const { id, guest } = containers.get(request.params.name);
      await containers.remove(id);
      await restores.onContainerGone(id, guest);
      return reply.code(204).send();
    },
  );
  app.get(
    '/v1/containers/:name/stats',
    { schema: { summary: "A container's cgroup figures", params } },
    (request) => containers.stats(request.params.name),
  );
  app.get(
    '/v1/containers/:name/logs',
    { schema: { summary: "A container's output so far", params } },
    async (request, reply) => reply.type('text/plain').send(await containers.logs(request.params.name)),
  );
}
