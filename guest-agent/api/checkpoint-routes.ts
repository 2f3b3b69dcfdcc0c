/** Calls about checkpoints and restores. */
import { agentCalls, agentStreams } from '../../interconnect/agent-api.ts';
import type { Agent } from '../agent.ts';
import { isImage } from '../checkpoint.ts';
import { packImages } from '../image-tar.ts';
import { expectOwnSpec, IdParams } from './container-routes.ts';
import type { App } from './server.ts';

export function checkpointRoutes(app: App, agent: Agent): void {
  const { checkpoints, containers, restores, stdio } = agent;
  app.post(
    agentCalls.preDumpContainer.path,
    { schema: { params: IdParams, body: agentCalls.preDumpContainer.body } },
    async (request) => {
      await stdio.execs.untilNone(request.params.id, 'checkpoint');
      return checkpoints.preDump(request.params.id, request.body);
    },
  );
  app.post(
    agentCalls.checkpointContainer.path,
    { schema: { params: IdParams, body: agentCalls.checkpointContainer.body } },
    async (request) => {
      await stdio.execs.untilNone(request.params.id, 'checkpoint');
      return checkpoints.begin(request.params.id, request.body);
    },
  );
  app.get(agentStreams.checkpointFiles.path, { schema: { params: IdParams } }, (request, reply) => {
    const { id } = request.params;
    containers.expectPhase(containers.get(id), 'read checkpoint of', 'checkpointing');
    const own = containers.paths(id);
    return reply.type('application/x-tar').send(packImages(own.dumpImages, own.dumpRootfsDiff, isImage));
  });
  app.post(
    agentCalls.finishCheckpoint.path,
    { schema: { params: IdParams, body: agentCalls.finishCheckpoint.body } },
    async (request) => ({ frozenMs: await checkpoints.finish(request.params.id, request.body) }),
  );
  app.put(agentStreams.putImages.path, { schema: { params: IdParams } }, async (request) => {
    await restores.putImages(request.params.id, request.raw);
    return {};
  });
  app.post(
    agentCalls.restoreContainer.path,
    { schema: { params: IdParams, body: agentCalls.restoreContainer.body } },
    (request) => {
      expectOwnSpec(request.params.id, request.body.spec, 'restore');
      return restores.restore(request.body);
    },
  );
}
