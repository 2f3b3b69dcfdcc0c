/** Calls about containers: lifecycle, figures, health. */
import { Type } from 'typebox';
import { agentCalls, ContainerId } from '../../interconnect/agent-api.ts';
import type { Agent } from '../agent.ts';
import { readLoad } from '../load.ts';
import { readStats } from '../stats.ts';
import type { App } from './server.ts';

export const IdParams = Type.Object({ id: ContainerId }, { additionalProperties: false });

export function containerRoutes(app: App, agent: Agent): void {
  const { containers } = agent;
  app.get(agentCalls.health.path, () => agent.health());
  app.get(agentCalls.guestLoad.path, () => readLoad());
  app.get(agentCalls.listContainers.path, () => containers.list());
  app.post(
    agentCalls.createContainer.path,
    { schema: { body: agentCalls.createContainer.body } },
    (request) => containers.create(request.body),
  );
  app.get(agentCalls.inspectContainer.path, { schema: { params: IdParams } }, (request) =>
    containers.inspect(request.params.id),
  );
  app.post(
    agentCalls.startContainer.path,
    { schema: { params: IdParams, body: agentCalls.startContainer.body } },
    (request) => containers.start(request.params.id),
  );
  app.post(
    agentCalls.killContainer.path,
    { schema: { params: IdParams, body: agentCalls.killContainer.body } },
    (request) => containers.kill(request.params.id, request.body.signal),
  );
  app.post(agentCalls.pauseContainer.path, { schema: { params: IdParams } }, (request) =>
    containers.pause(request.params.id),
  );
  app.post(agentCalls.resumeContainer.path, { schema: { params: IdParams } }, (request) =>
    containers.resume(request.params.id),
  );
  app.delete(agentCalls.deleteContainer.path, { schema: { params: IdParams } }, async (request) => {
    await containers.remove(request.params.id);
    return {};
  });
  app.get(agentCalls.containerStats.path, { schema: { params: IdParams } }, (request) => {
    containers.get(request.params.id);
    return readStats(containers.paths(request.params.id).cgroup);
  });
}
