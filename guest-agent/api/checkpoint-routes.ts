/** Calls about checkpoints and restores. */
import { agentCalls, agentStreams } from '../../interconnect/agent-api.ts';
import type { Agent } from '../agent.ts';
import { isImage } from '../dump.ts';
import { packImages } from '../image-tar.ts';
import { ById, expectOwnSpec } from './container-routes.ts';
import { incoming, sendBytes } from './exchange.ts';
import type { Router } from './router.ts';

export function checkpointRoutes(router: Router, agent: Agent): void {
  const { checkpoints, containers, restores, stdio } = agent;
  router.call(agentCalls.preDumpContainer, ById, async ({ params, body }) => {
    await stdio.execs.untilNone(params.id, 'checkpoint');
    return checkpoints.preDump(params.id, body);
  });
  router.call(agentCalls.checkpointContainer, ById, async ({ params, body }) => {
    await stdio.execs.untilNone(params.id, 'checkpoint');
    return checkpoints.begin(params.id, body);
  });
  router.stream(agentStreams.checkpointFiles, ById, ({ params: { id }, stream }) => {
    containers.expectPhase(containers.get(id), 'read checkpoint of', 'checkpointing');
    const own = containers.paths(id);
    return sendBytes(stream, 'application/x-tar', packImages(own.dumpImages, own.dumpRootfsDiff, isImage));
  });
  router.call(agentCalls.finishCheckpoint, ById, async ({ params, body }) => ({
    frozenMs: await checkpoints.finish(params.id, body),
  }));
  router.stream(agentStreams.putImages, ById, async ({ params, stream }) => {
    await restores.putImages(params.id, incoming(stream));
    return {};
  });
  router.call(agentCalls.restoreContainer, ById, ({ params, body }) => {
    expectOwnSpec(params.id, body.spec, 'restore');
    return restores.restore(body);
  });
}
