/** /v1/containers */
import { Type } from 'typebox';
import { ContainerStats, ProcessList } from '../../interconnect/agent-api.ts';
import { viewOf } from '../containers/view.ts';
import type { Plane } from '../plane.ts';
import { Page, pageOf, pageQuery } from './pages.ts';
import { NameParams, Nothing, strict } from './schemas/common.ts';
import {
  ContainerBody,
  ContainerFilter,
  ContainerView,
  KillBody,
  matchesFilter,
  RemoveQuery,
  RenameBody,
  StopBody,
  WaitAnswer,
  WaitQuery,
} from './schemas/containers.ts';
import type { App } from './server.ts';

export function containerRoutes(app: App, { containers, restores }: Plane): void {
  const params = NameParams;
  const response = { 200: ContainerView };
  app.get(
    '/v1/containers',
    {
      schema: {
        summary: 'List containers',
        querystring: Type.Object({ ...pageQuery, ...ContainerFilter.properties }, strict),
        response: { 200: Page(ContainerView) },
      },
    },
    ({ query }) => {
      const items = containers.list().filter((container) => matchesFilter(container, query));
      return pageOf({ kind: 'containers', items, keyOf: ({ id }) => id }, query);
    },
  );
  app.post(
    '/v1/containers',
    {
      schema: {
        summary: 'Create a container in a guest',
        body: ContainerBody,
        response: { 201: ContainerView },
      },
    },
    async (request, reply) => reply.code(201).send(await containers.create(request.body)),
  );
  app.get(
    '/v1/containers/:name',
    { schema: { summary: 'Inspect a container', params, response } },
    (request) => viewOf(containers.get(request.params.name)),
  );
  app.post(
    '/v1/containers/:name/start',
    { schema: { summary: 'Start a container that is created or stopped', params, response } },
    (request) => containers.start(request.params.name),
  );
  app.post(
    '/v1/containers/:name/stop',
    {
      schema: {
        summary: 'Ask a container to end, and end it after the grace time',
        params,
        body: StopBody,
        response,
      },
      preValidation: withoutBody,
    },
    (request) => containers.stop(request.params.name, request.body),
  );
  app.post(
    '/v1/containers/:name/restart',
    {
      schema: { summary: 'End a container and start it again', params, body: StopBody, response },
      preValidation: withoutBody,
    },
    (request) => containers.restart(request.params.name, request.body),
  );
  app.post(
    '/v1/containers/:name/wait',
    {
      schema: {
        summary: "Wait for a container's end; without an exit code it has not ended",
        params,
        querystring: WaitQuery,
        response: { 200: WaitAnswer },
      },
    },
    (request) => containers.wait(request.params.name, request.query.timeoutMs),
  );
  app.get(
    '/v1/containers/:name/top',
    { schema: { summary: "A container's processes", params, response: { 200: ProcessList } } },
    (request) => containers.processes(request.params.name),
  );
  app.post(
    '/v1/containers/:name/kill',
    { schema: { summary: 'Send a signal to a container', params, body: KillBody, response } },
    (request) => containers.kill(request.params.name, request.body.signal),
  );
  app.post(
    '/v1/containers/:name/pause',
    { schema: { summary: 'Pause a running container', params, response } },
    (request) => containers.pause(request.params.name),
  );
  app.post(
    '/v1/containers/:name/resume',
    { schema: { summary: 'Resume a paused container', params, response } },
    (request) => containers.resume(request.params.name),
  );
  app.post(
    '/v1/containers/:name/rename',
    { schema: { summary: 'Give a container another name', params, body: RenameBody, response } },
    (request) => containers.rename(request.params.name, request.body.name),
  );
  app.delete(
    '/v1/containers/:name',
    {
      schema: {
        summary: 'Delete a container',
        params,
        querystring: RemoveQuery,
        response: { 204: Nothing },
      },
    },
    async (request, reply) => {
      const { id, guest } = containers.get(request.params.name);
      await containers.remove(id, request.query);
      await restores.onContainerGone(id, guest);
      return reply.code(204).send();
    },
  );
  app.get(
    '/v1/containers/:name/stats',
    { schema: { summary: "A container's cgroup figures", params, response: { 200: ContainerStats } } },
    (request) => containers.stats(request.params.name),
  );
}

/** A request that says nothing says that everything is as usual. */
async function withoutBody(request: { body: unknown }): Promise<void> {
  request.body ??= {};
}
