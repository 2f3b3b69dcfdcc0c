/** Calls about containers: lifecycle, figures, health. */
import { Type } from 'typebox';
import { agentCalls, ContainerId, type ContainerSpec } from '../../interconnect/agent-api.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { Agent } from '../agent.ts';
import { readLoad } from '../load.ts';
import { listProcesses } from '../processes.ts';
import { readStats } from '../stats.ts';
import type { Router } from './router.ts';

export const ById = { params: Type.Object({ id: ContainerId }, { additionalProperties: false }) };

export function containerRoutes(router: Router, agent: Agent): void {
  const { containers } = agent;
  router.call(agentCalls.health, {}, () => agent.health());
  router.call(agentCalls.guestLoad, {}, () => readLoad());
  router.call(agentCalls.listContainers, {}, () => containers.list());
  router.call(agentCalls.createContainer, {}, ({ body }) => containers.create(body));
  router.call(agentCalls.inspectContainer, ById, ({ params }) => containers.inspect(params.id));
  router.call(agentCalls.startContainer, ById, ({ params }) => containers.start(params.id));
  router.call(agentCalls.killContainer, ById, ({ params, body }) => containers.kill(params.id, body.signal));
  router.call(agentCalls.pauseContainer, ById, ({ params }) => containers.pause(params.id));
  router.call(agentCalls.resumeContainer, ById, ({ params }) => containers.resume(params.id));
  router.call(agentCalls.recreateContainer, ById, ({ params, body }) => {
    expectOwnSpec(params.id, body, 'recreate');
    return containers.recreate(body);
  });
  router.call(agentCalls.releaseVolumes, ById, ({ params }) => containers.releaseVolumes(params.id));
  router.call(agentCalls.deleteContainer, ById, async ({ params }) => {
    await containers.remove(params.id);
    return {};
  });
  router.call(agentCalls.containerStats, ById, ({ params }) => {
    const { spec } = containers.get(params.id);
    return readStats(containers.paths(spec.id).cgroup, spec.address);
  });
  router.call(agentCalls.listProcesses, ById, ({ params }) => {
    const { spec } = containers.get(params.id);
    return listProcesses(containers.paths(spec.id).cgroup);
  });
}

/** @throws {OffloadError} invalid_request when path and body name two containers */
export function expectOwnSpec(id: string, spec: ContainerSpec, operation: string): void {
  if (spec.id === id) return;
  throw new OffloadError('invalid_request', `${operation} container ${id}: its spec is of ${spec.id}`);
}
