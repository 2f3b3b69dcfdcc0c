/** The containers of this guest: their states, and the transitions OCI allows. */

import { watch } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerPhase, ContainerSpec, ContainerState } from '../interconnect/agent-api.ts';
import { pollUntil, withDeadline } from '../platform/deadline.ts';
import { OffloadError } from '../platform/errors.ts';
import type { EventLog } from './events.ts';
import type { Networks } from './network.ts';
import type { PagerProcess } from './pager-process.ts';
import { type AgentPaths, containerPaths, crunRoot, exitDirectory } from './paths.ts';
import type { Rootfs } from './rootfs.ts';
import { runConmon } from './runtime/conmon.ts';
import type { Crun } from './runtime/crun.ts';
import { ociSpec } from './runtime/oci-spec.ts';
import type { TrackedDump } from './tracked-dumps.ts';

/** What is alive in each phase, and nothing else. */
export type Life =
  | { phase: 'created' | 'running' | 'paused'; pid: number }
  /** It still runs as long as frozenAtMs is absent: a pre-dump. */
  | { phase: 'checkpointing'; pid: number; frozenAtMs?: number }
  | { phase: 'restoring' }
  | { phase: 'stopped'; exitCode: number };

export interface Container {
  spec: ContainerSpec;
  life: Life;
  /** The restore's pager, until it has ended. */
  pager?: PagerProcess | undefined;
  waiters: Set<() => void>;
  /** The dump since which the kernel tracks what the container changes. */
  trackedDump?: TrackedDump | undefined;
}

export interface ContainersDeps {
  paths: AgentPaths;
  crun: Crun;
  networks: Networks;
  rootfs: Rootfs;
  events: EventLog;
  createTimeoutMs: number;
  /** Default: Debian's. */
  conmonProgram?: string;
}

const EXIT_TIMEOUT_MS = 30_000;

export function createContainers(deps: ContainersDeps) {
  const { paths, crun, networks, rootfs, events } = deps;
  const containers = new Map<string, Container>();

  function get(id: string): Container {
    const container = containers.get(id);
    if (!container) throw new OffloadError('not_found', `container ${id}: there is none of this name`);
    return container;
  }

  /** @throws {OffloadError} invalid_state naming the state, when it is none of `phases`; nothing changes */
  function expectPhase(container: Container, operation: string, ...phases: ContainerPhase[]): void {
    if (phases.includes(container.life.phase)) return;
    throw new OffloadError(
      'invalid_state',
      `${operation} container ${container.spec.id}: it is ${container.life.phase}, not ${phases.join(' or ')}`,
    );
  }

  /** @throws {OffloadError} already_exists */
  function expectFree(id: string, operation: string): void {
    if (!containers.has(id)) return;
    throw new OffloadError('already_exists', `${operation} container ${id}: the name is taken`);
  }

  /** Everything a bundle needs before crun runs; on failure nothing is left. */
  async function prepare(spec: ContainerSpec, life: Life, pager?: PagerProcess): Promise<Container> {
    expectFree(spec.id, 'create');
    const container: Container = { spec, life, pager, waiters: new Set() };
    containers.set(spec.id, container);
    const own = containerPaths(paths, spec.id);
    try {
      await mkdir(own.bundle, { recursive: true });
      await mkdir(own.data, { recursive: true });
      await Promise.all([
        networks.attach(own.networkNamespace, spec.address),
        rootfs.mount(spec.id, spec.rootfsLun, own),
      ]);
      await writeFile(own.config, JSON.stringify(ociSpec(spec, own)));
      return container;
    } catch (error) {
      await discard(container);
      throw error;
    }
  }

  /** Removes every trace of a container, whatever state it is in. */
  async function discard(container: Container): Promise<void> {
    const { id, address, rootfsLun } = container.spec;
    const own = containerPaths(paths, id);
    await crun.deleteForced(id).catch(() => undefined);
    // A restore that was cut off has left tasks that crun does not know of.
    await killTasks(id);
    await container.pager?.stop();
    await networks.detach(own.networkNamespace, address);
    await rootfs.unmount(id, rootfsLun, own);
    await rm(own.bundle, { recursive: true, force: true });
    await rm(join(exitDirectory(paths), id), { force: true });
    containers.delete(id);
  }

  /** The restore fails for want of its pager or its tasks, and clears away what it made itself. */
  async function cutOffRestore(container: Container): Promise<void> {
    const { id } = container.spec;
    await container.pager?.stop();
    await killTasks(id);
    const isOver = () =>
      container.life.phase !== 'restoring' || containers.get(id) !== container || undefined;
    await pollUntil(isOver, {
      timeoutMs: EXIT_TIMEOUT_MS,
      intervalMs: 50,
      what: `end restore of container ${id}`,
    });
  }

  const killTasks = (id: string) =>
    writeFile(join(containerPaths(paths, id).cgroup, 'cgroup.kill'), '1', { flag: 'r+' }).catch(
      () => undefined,
    );

  function exited(id: string, exitCode: number): void {
    const container = containers.get(id);
    if (!container || container.life.phase === 'stopped' || isBeingMade(container.life)) return;
    container.life = { phase: 'stopped', exitCode };
    for (const wake of container.waiters) wake();
    container.waiters.clear();
    events.emit({ container: id, event: 'exited', exitCode });
  }

  /** conmon leaves a file named like the container, holding the exit code. */
  async function readExit(id: string): Promise<void> {
    const text = await readFile(join(exitDirectory(paths), id), 'utf8').catch(() => undefined);
    if (text !== undefined && text !== '') exited(id, Number(text));
  }

  /** The phase after conmon's verdict; a container that has ended by then is found to have. */
  async function settle(
    container: Container,
    phase: 'created' | 'running' | 'paused',
    pid: number,
  ): Promise<void> {
    container.life = { phase, pid };
    await readExit(container.spec.id);
  }

  return {
    get,
    expectPhase,
    expectFree,
    prepare,
    discard,
    settle,
    paths: (id: string) => containerPaths(paths, id),
    async watchExits(): Promise<void> {
      await mkdir(exitDirectory(paths), { recursive: true });
      // What keeps the agent alive is its listener.
      watch(exitDirectory(paths), { persistent: false }, (_event, name) => {
        if (name) void readExit(name);
      });
    },
    list: (): ContainerState[] => [...containers.values()].map(stateOf),
    inspect: (id: string): ContainerState => stateOf(get(id)),
    async create(spec: ContainerSpec): Promise<ContainerState> {
      const container = await prepare(spec, { phase: 'created', pid: 0 });
      try {
        const pid = await conmon(spec.id);
        events.emit({ container: spec.id, event: 'created' });
        await settle(container, 'created', pid);
        return stateOf(container);
      } catch (error) {
        await discard(container);
        throw error;
      }
    },
    async start(id: string): Promise<ContainerState> {
      const container = get(id);
      expectPhase(container, 'start', 'created');
      await crun.start(id);
      if (container.life.phase === 'created') container.life = { phase: 'running', pid: container.life.pid };
      events.emit({ container: id, event: 'started' });
      return stateOf(container);
    },
    async kill(id: string, signal: string): Promise<ContainerState> {
      const container = get(id);
      expectPhase(container, 'kill', 'created', 'running', 'paused');
      await crun.kill(id, signal);
      return stateOf(container);
    },
    async pause(id: string): Promise<ContainerState> {
      const container = get(id);
      expectPhase(container, 'pause', 'running');
      await crun.pause(id);
      if (container.life.phase === 'running') container.life = { phase: 'paused', pid: container.life.pid };
      return stateOf(container);
    },
    async resume(id: string): Promise<ContainerState> {
      const container = get(id);
      expectPhase(container, 'resume', 'paused');
      await crun.resume(id);
      if (container.life.phase === 'paused') container.life = { phase: 'running', pid: container.life.pid };
      return stateOf(container);
    },
    /** Resolves once the container's exit was seen. */
    waitStopped(id: string): Promise<void> {
      const container = get(id);
      if (container.life.phase === 'stopped') return Promise.resolve();
      const stopped = new Promise<void>((resolve) => container.waiters.add(resolve));
      return withDeadline(stopped, EXIT_TIMEOUT_MS, `stop container ${id}`);
    },
    async remove(id: string): Promise<void> {
      const container = get(id);
      if (container.life.phase === 'restoring') await cutOffRestore(container);
      if (containers.get(id) === container) {
        expectPhase(container, 'delete', 'created', 'stopped', 'running', 'paused');
        await discard(container);
      }
      events.emit({ container: id, event: 'deleted' });
    },
    conmon,
    async pidOf(id: string): Promise<number> {
      const life = get(id).life;
      return 'pid' in life ? life.pid : 0;
    },
  };

  function conmon(id: string, restoreFrom?: string, timeoutMs = deps.createTimeoutMs): Promise<number> {
    return runConmon({
      id,
      paths: containerPaths(paths, id),
      crunRoot: crunRoot(paths),
      exitDirectory: exitDirectory(paths),
      timeoutMs,
      ...(restoreFrom ? { restoreFrom } : {}),
      ...(deps.conmonProgram ? { program: deps.conmonProgram } : {}),
    });
  }
}
export type Containers = ReturnType<typeof createContainers>;

/** conmon has not given its verdict; settle() looks for an exit once it has. */
function isBeingMade(life: Life): boolean {
  return life.phase === 'restoring' || (life.phase === 'created' && life.pid === 0);
}

export function stateOf(container: Container): ContainerState {
  const { life, spec } = container;
  return {
    id: spec.id,
    phase: life.phase,
    address: spec.address,
    ...('pid' in life ? { pid: life.pid } : {}),
    ...('exitCode' in life ? { exitCode: life.exitCode } : {}),
  };
}
