/** The containers of this guest and what is known of each; every change is on /run before it is told. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerSpec, ContainerState } from '../interconnect/agent-api.ts';
import { pollUntil, withDeadline } from '../platform/deadline.ts';
import { OffloadError } from '../platform/errors.ts';
import type { Bundles } from './bundle.ts';
import type { EventLog } from './events.ts';
import { type ContainerExit, readExit } from './exits.ts';
import { type Container, isBeingMade, type Life, stateOf } from './life.ts';
import type { PagerProcess } from './pager-process.ts';
import { type AgentPaths, containerPaths, crunRoot, exitDirectory } from './paths.ts';
import type { Records } from './records.ts';
import { runConmon } from './runtime/conmon.ts';
import type { Crun } from './runtime/crun.ts';
import { recordedDump } from './tracked-dumps.ts';
import { createTurns } from './turns.ts';

export interface RegistryDeps {
  paths: AgentPaths;
  crun: Crun;
  bundles: Bundles;
  events: EventLog;
  records: Records;
  createTimeoutMs: number;
  /** Default: Debian's. */
  conmonProgram?: string;
}

const EXIT_TIMEOUT_MS = 30_000;

export function createRegistry(deps: RegistryDeps) {
  const { paths, crun, bundles, events, records } = deps;
  const containers = new Map<string, Container>();

  function get(id: string): Container {
    const container = containers.get(id);
    if (!container) throw new OffloadError('not_found', `container ${id}: there is none of this name`);
    return container;
  }

  /** @throws {OffloadError} already_exists */
  function expectFree(id: string, operation: string): void {
    if (!containers.has(id)) return;
    throw new OffloadError('already_exists', `${operation} container ${id}: the name is taken`);
  }

  const isKept = (container: Container) => containers.get(container.spec.id) === container;

  function save(container: Container): void {
    if (!isKept(container)) return;
    const { spec, life, pager, trackedDump, removing } = container;
    records.write({
      spec,
      life,
      ...(removing ? { removing } : {}),
      ...(pager?.process ? { pager: pager.process } : {}),
      ...(trackedDump ? { trackedDump: recordedDump(trackedDump) } : {}),
    });
  }

  function enter(container: Container, life: Life): void {
    container.life = life;
    save(container);
  }

  /** Everything a bundle needs before crun runs; on failure nothing is left. */
  async function prepare(spec: ContainerSpec, life: Life, pager?: PagerProcess): Promise<Container> {
    expectFree(spec.id, 'create');
    const container: Container = { spec, life, pager, waiters: new Set() };
    containers.set(spec.id, container);
    save(container);
    try {
      await bundles.make(spec);
      return container;
    } catch (error) {
      await discard(container);
      throw error;
    }
  }

  /** Ends its tasks and removes every trace of it, but for its record, whatever state it is in. */
  async function clear(container: Container): Promise<void> {
    const { id } = container.spec;
    await crun.deleteForced(id).catch(() => undefined);
    // A restore that was cut off has left tasks that crun does not know of.
    await killTasks(id);
    await container.pager?.stop();
    await bundles.remove(container.spec);
  }

  async function discard(container: Container): Promise<void> {
    await clear(container);
    forget(container);
  }

  function forget(container: Container): void {
    if (!isKept(container)) return;
    containers.delete(container.spec.id);
    records.remove(container.spec.id);
  }

  /** The restore fails for want of its pager or its tasks, and clears away what it made itself. */
  async function cutOffRestore(container: Container): Promise<void> {
    const { id } = container.spec;
    await container.pager?.stop();
    await killTasks(id);
    const isOver = () => container.life.phase !== 'restoring' || !isKept(container) || undefined;
    await pollUntil(isOver, {
      timeoutMs: EXIT_TIMEOUT_MS,
      intervalMs: 50,
      what: `end restore of container ${id}`,
    });
  }

  /** At once, also where its tasks are frozen: SIGKILL by crun would wait for a thaw. */
  const killTasks = (id: string) =>
    writeFile(join(containerPaths(paths, id).cgroup, 'cgroup.kill'), '1', { flag: 'r+' }).catch(
      () => undefined,
    );

  function exited(id: string, exit: ContainerExit): void {
    const container = containers.get(id);
    if (!container || container.life.phase === 'stopped' || isBeingMade(container)) return;
    const { exitCode, oomKilled, atMs } = exit;
    container.trackedDump = undefined;
    enter(container, { phase: 'stopped', exitCode, ...(oomKilled ? { oomKilled } : {}) });
    events.emit({ container: id, event: 'exited', exitCode }, atMs);
    for (const wake of container.waiters) wake();
    container.waiters.clear();
  }

  /** Sees whether conmon has left word of its end. */
  async function lookForExit(id: string): Promise<void> {
    const exit = await readExit(exitDirectory(paths), containerPaths(paths, id).data, id);
    if (exit) exited(id, exit);
  }

  return {
    get,
    has: (id: string): boolean => containers.has(id),
    expectFree,
    /** One verb at a time: each finds the state that the one before has left. */
    inTurn: createTurns<string>(),
    save,
    enter,
    prepare,
    clear,
    discard,
    forget,
    cutOffRestore,
    killTasks,
    lookForExit,
    exited,
    paths: (id: string) => containerPaths(paths, id),
    list: (): ContainerState[] => [...containers.values()].map(stateOf),
    inspect: (id: string): ContainerState => stateOf(get(id)),
    isKept,
    /** One that an earlier agent has made. */
    adopt(container: Container): void {
      containers.set(container.spec.id, container);
    },
    /** The phase after conmon's verdict; a container that has ended by then is found to have. */
    async settle(
      container: Container,
      phase: 'created' | 'running' | 'paused',
      pid: number,
      event: 'created' | 'restored',
    ): Promise<void> {
      enter(container, { phase, pid });
      events.emit({ container: container.spec.id, event });
      await lookForExit(container.spec.id);
    },
    /** Resolves once the container's exit was seen. */
    waitStopped(id: string): Promise<void> {
      const container = get(id);
      if (container.life.phase === 'stopped') return Promise.resolve();
      const stopped = new Promise<void>((resolve) => container.waiters.add(resolve));
      return withDeadline(stopped, EXIT_TIMEOUT_MS, `stop container ${id}`);
    },
    conmon(spec: ContainerSpec, restoreFrom?: string, timeoutMs = deps.createTimeoutMs): Promise<number> {
      const { id, terminal = false, openStdin = false } = spec;
      return runConmon({
        id,
        paths: containerPaths(paths, id),
        crunRoot: crunRoot(paths),
        exitDirectory: exitDirectory(paths),
        terminal,
        openStdin,
        timeoutMs,
        ...(restoreFrom ? { restoreFrom } : {}),
        ...(deps.conmonProgram ? { program: deps.conmonProgram } : {}),
      });
    },
  };
}
