/** Calls about containers: lifecycle, figures, health. */
import { Type } from 'typebox';
import { agentCalls, ContainerId, type ContainerSpec } from '../../interconnect/agent-api.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { Agent } from '../agent.ts';
import { readLoad } from '../load.ts';
import { listProcesses } from '../processes.ts';
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
  app.post(
    agentCalls.recreateContainer.path,
    { schema: { params: IdParams, body: agentCalls.recreateContainer.body } },
    (request) => {
      expectOwnSpec(request.params.id, request.body, 'recreate');
      return containers.recreate(request.body);
    },
  );
  app.post(agentCalls.releaseVolumes.path, { schema: { params: IdParams } }, (request) =>
    containers.releaseVolumes(request.params.id),
  );
  app.delete(agentCalls.deleteContainer.path, { schema: { params: IdParams } }, async (request) => {
    await containers.remove(request.params.id);
    return {};
  });
  app.get(agentCalls.containerStats.path, { schema: { params: IdParams } }, (request) => {
    const { spec } = containers.get(request.params.id);
    return readStats(containers.paths(spec.id).cgroup, spec.address);
  });
  app.get(agentCalls.listProcesses.path, { schema: { params: IdParams } }, (request) => {
    const { spec } = containers.get(request.params.id);
    return listProcesses(containers.paths(spec.id).cgroup);
  });
}

/** @throws {OffloadError} invalid_request when path and body name two containers */
export function expectOwnSpec(id: string, spec: ContainerSpec, operation: string): void {
  if (spec.id === id) return;
  throw new OffloadError('invalid_request', `${operation} container ${id}: its spec is of ${spec.id}`);
}
