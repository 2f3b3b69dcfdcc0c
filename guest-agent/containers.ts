/** What can be done to a container, by the states of OCI: everything else is refused and changes nothing. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerSpec, ContainerState } from '../interconnect/agent-api.ts';
import { signalNumber } from '../interconnect/signals.ts';
import { OOM_FILE } from './exits.ts';
import { type Container, expectPhase, stateOf } from './life.ts';
import { createRegistry, type RegistryDeps } from './registry.ts';
import { dropImages } from './sent-images.ts';

const SIGKILL = 9;

export function createContainers(deps: RegistryDeps) {
  const { crun, bundles, events } = deps;
  const registry = createRegistry(deps);
  const { get, inTurn, enter } = registry;

  async function create(spec: ContainerSpec): Promise<ContainerState> {
    const container = await registry.prepare(spec, { phase: 'created', pid: 0 });
    try {
      const pid = await registry.conmon(spec);
      await registry.settle(container, 'created', pid, 'created');
      return stateOf(container);
    } catch (error) {
      await registry.discard(container);
      throw error;
    }
  }

  /** Until conmon's verdict its record says that it is stopped, and so it is again when this fails. */
  async function recreate(container: Container, spec: ContainerSpec): Promise<ContainerState> {
    const before = { spec: container.spec, life: container.life };
    try {
      container.life = { phase: 'created', pid: 0 };
      container.spec = spec;
      await rm(join(registry.paths(spec.id).data, OOM_FILE), { force: true });
      await bundles.remake(before.spec, spec);
      const pid = await registry.conmon(spec);
      await registry.settle(container, 'created', pid, 'created');
      return stateOf(container);
    } catch (error) {
      await crun.deleteForced(spec.id).catch(() => undefined);
      await bundles.remake(spec, before.spec).catch(() => undefined);
      container.spec = before.spec;
      enter(container, before.life);
      throw error;
    }
  }

  /** A verb that finds one of `phases` and leaves another when its container has not ended meanwhile. */
  async function transition(
    id: string,
    operation: string,
    from: 'running' | 'paused',
    to: 'running' | 'paused',
    act: () => Promise<unknown>,
  ): Promise<ContainerState> {
    const container = get(id);
    expectPhase(container, operation, from);
    await act();
    if (container.life.phase === from) enter(container, { phase: to, pid: container.life.pid });
    return stateOf(container);
  }

  return {
    ...registry,
    expectPhase,
    create: (spec: ContainerSpec) => inTurn(spec.id, () => create(spec)),
    recreate: (spec: ContainerSpec): Promise<ContainerState> =>
      inTurn(spec.id, () => {
        const container = get(spec.id);
        expectPhase(container, 'recreate', 'stopped');
        return recreate(container, spec);
      }),
    start: (id: string): Promise<ContainerState> =>
      inTurn(id, async () => {
        const container = get(id);
        expectPhase(container, 'start', 'created');
        container.starting = true;
        try {
          await crun.start(id);
          enter(container, { phase: 'running', pid: (container.life as { pid: number }).pid });
          events.emit({ container: id, event: 'started' });
        } finally {
          container.starting = false;
          await registry.lookForExit(id);
        }
        return stateOf(container);
      }),
    pause: (id: string): Promise<ContainerState> =>
      inTurn(id, () => transition(id, 'pause', 'running', 'paused', () => crun.pause(id))),
    resume: (id: string): Promise<ContainerState> =>
      inTurn(id, () => transition(id, 'resume', 'paused', 'running', () => crun.resume(id))),
    /** SIGKILL ends a paused container at once; any other signal waits until it is resumed. */
    kill: (id: string, signal: string): Promise<ContainerState> =>
      inTurn(id, async () => {
        const container = get(id);
        expectPhase(container, 'kill', 'created', 'running', 'paused');
        const number = signalNumber(signal, `kill container ${id}`);
        if (number === SIGKILL && container.life.phase === 'paused') await registry.killTasks(id);
        else await crun.kill(id, String(number));
        return stateOf(container);
      }),
    releaseVolumes: (id: string): Promise<ContainerState> =>
      inTurn(id, async () => {
        const container = get(id);
        expectPhase(container, 'release volumes of', 'stopped');
        await bundles.releaseVolumes(container.spec);
        const { volumes, ...rest } = container.spec;
        container.spec = rest;
        registry.save(container);
        return stateOf(container);
      }),
    /** Ends it in whatever state it is, but for a checkpoint; of one that there is not, what was sent for it goes. */
    remove: (id: string): Promise<void> =>
      inTurn(id, async () => {
        if (!registry.has(id)) await dropImages(registry.paths(id));
        const container = get(id);
        if (container.life.phase === 'restoring') await registry.cutOffRestore(container);
        if (registry.isKept(container)) {
          expectPhase(container, 'delete', 'created', 'stopped', 'running', 'paused');
          container.removing = true;
          registry.save(container);
          await registry.clear(container);
        }
        events.emit({ container: id, event: 'deleted' });
        registry.forget(container);
      }),
  };
}
export type Containers = ReturnType<typeof createContainers>;
