/**
 * An agent that is started again takes over what runs: containers and their pagers go on, mounts and networks
 * are as they were. What was not finished is undone: a container in the middle of a creation or a restore
 * goes, one that stood still for a checkpoint runs on.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pollUntil } from '../platform/deadline.ts';
import type { Containers } from './containers.ts';
import type { EventLog } from './events.ts';
import { readExit } from './exits.ts';
import type { GuestParts } from './guest-parts.ts';
import { endNow, type LeftoverProgram, outlive, worksOn } from './leftover-programs.ts';
import { type Container, isBeingMade, type Life } from './life.ts';
import { missingEvents } from './missing-events.ts';
import { adoptPager } from './pager-process.ts';
import { type AgentPaths, containerDirectories, containerPaths, exitDirectory } from './paths.ts';
import type { ContainerRecord, Records } from './records.ts';
import { pagerEnded } from './restore.ts';
import type { Crun } from './runtime/crun.ts';
import { dumpOfRecord, forgetTracked } from './tracked-dumps.ts';

export interface AdoptionDeps extends Pick<GuestParts, 'imageDevices' | 'volumeDevices' | 'listPrograms'> {
  paths: AgentPaths;
  containers: Containers;
  crun: Crun;
  events: EventLog;
  records: Records;
}

const CONMON = 'conmon';
const PAGER = 'offload-pager';
/** What ends by itself when its work is done, and leaves a state that can be told. */
const VERBS = ['crun', 'tar', 'cp', 'mount', 'umount'];
/** CRIU gives up a dump by itself, and to kill it could take the container with it. */
const PROGRAM_TIMEOUT_MS = 30_000;
const EXIT_FILE_TIMEOUT_MS = 5_000;
/** For a container whose monitor is gone: it was killed, and nobody saw it. */
const KILLED_EXIT_CODE = 137;
const AT_ONCE = 4;

interface Found {
  container: Container;
  recorded: Life;
  now: Life;
  /** When it ended, if it has. */
  atMs: number;
}

/** @returns the ids of containers that go on, and of those that were undone */
export async function adoptContainers(deps: AdoptionDeps): Promise<{ adopted: string[]; undone: string[] }> {
  const programs = await deps.listPrograms();
  const adopted: Found[] = [];
  const undone: string[] = [];
  await eachOf(deps.records.readAll(), AT_ONCE, async (record) => {
    const { id } = record.spec;
    const container = containerOf(deps, record);
    const own = programs.filter((program) => worksOn(program, id, deps.containers.paths(id)));
    if (!record.removing && !isBeingMade(container)) adopted.push(await find(deps, container, own));
    else {
      await undo(deps, container, own);
      undone.push(id);
    }
  });
  // In the order in which they ended.
  for (const found of adopted.sort((one, other) => one.atMs - other.atMs)) await tell(deps, found);
  await removeUnknown(deps, programs);
  await deps.imageDevices.releaseUnused();
  await deps.volumeDevices.releaseUnused();
  return { adopted: adopted.map(({ container }) => container.spec.id), undone };
}

function containerOf(
  { containers, imageDevices, volumeDevices }: AdoptionDeps,
  record: ContainerRecord,
): Container {
  const { spec, life, removing = false, pager, trackedDump } = record;
  const { id } = spec;
  const container: Container = { spec, life, removing, waiters: new Set() };
  if (trackedDump) container.trackedDump = dumpOfRecord(trackedDump);
  imageDevices.adopt(spec.rootfsLun, id);
  for (const { lun } of spec.volumes ?? []) volumeDevices.adopt(lun, id);
  containers.adopt(container);
  if (pager) {
    const log = containers.paths(id).pagerLog;
    container.pager = adoptPager(pager, {
      log,
      onEnd: (failure) => pagerEnded(containers, id, container, failure),
    });
  }
  return container;
}

/** Removes one that was being made, or removed. */
async function undo(
  { containers, events }: AdoptionDeps,
  container: Container,
  programs: readonly LeftoverProgram[],
): Promise<void> {
  const { id } = container.spec;
  // Tasks before their pager: what it has not brought yet would read as zero.
  await containers.killTasks(id);
  await endNow(programs.filter(({ name }) => name !== PAGER));
  await containers.clear(container);
  if (container.removing && events.lastOf(id)?.event !== 'deleted') {
    events.emit({ container: id, event: 'deleted' });
  }
  containers.forget(container);
}

/** Lets what was under way end, and sees what has become of the container. */
async function find(
  deps: AdoptionDeps,
  container: Container,
  programs: readonly LeftoverProgram[],
): Promise<Found> {
  const { containers, crun, paths } = deps;
  const { id } = container.spec;
  const recorded = container.life;
  const verbs = programs.filter(({ name }) => VERBS.includes(name));
  if (recorded.phase === 'stopped') {
    // It was to be created again, and nobody was told that it is.
    await endNow(programs);
    if (programs.length > 0) await crun.deleteForced(id).catch(() => undefined);
    return { container, recorded, now: recorded, atMs: 0 };
  }
  await outlive(verbs, PROGRAM_TIMEOUT_MS);
  const now = await lifeNow(deps, container, programs);
  if (recorded.phase === 'checkpointing') await dropDump(containers, container);
  const exit = await readExit(exitDirectory(paths), containers.paths(id).data, id);
  return { container, recorded, now, atMs: now.phase === 'stopped' ? (exit?.atMs ?? Date.now()) : 0 };
}

/** Tells what nobody was told. */
async function tell({ containers, events }: AdoptionDeps, found: Found): Promise<void> {
  const { container, recorded, now, atMs } = found;
  const { id } = container.spec;
  const missing = missingEvents(events.lastOf(id)?.event, events.hasForgotten(), recorded, now);
  containers.enter(container, now);
  for (const event of missing) {
    if (event !== 'exited') events.emit({ container: id, event });
    else if (now.phase === 'stopped') {
      events.emit({ container: id, event, exitCode: now.exitCode }, atMs || Date.now());
    }
  }
  if (recorded.phase === 'checkpointing' && recorded.frozenAtMs !== undefined && now.phase === 'running') {
    events.emit({ container: id, event: 'resumed' });
  }
}

async function lifeNow(
  deps: AdoptionDeps,
  { spec, life }: Container,
  programs: readonly LeftoverProgram[],
): Promise<Life> {
  const { containers, crun } = deps;
  const { id } = spec;
  const data = containers.paths(id).data;
  const ended = async (): Promise<Life | undefined> => {
    const exit = await readExit(exitDirectory(deps.paths), data, id);
    return (
      exit && { phase: 'stopped', exitCode: exit.exitCode, ...(exit.oomKilled ? { oomKilled: true } : {}) }
    );
  };
  const early = await ended();
  if (early) return early;
  const state = await crun.state(id).catch(() => undefined);
  // Its execs have monitors as well.
  const isWatched = programs.some(
    ({ name, args }) => name === CONMON && args[args.indexOf('--cuuid') + 1] === id,
  );
  if (isWatched && state && state.status !== 'stopped') {
    if (state.status === 'created') return { phase: 'created', pid: state.pid };
    if (state.status === 'paused' && life.phase === 'paused') return { phase: 'paused', pid: state.pid };
    // It was to stand still for a moment only: for a checkpoint, a comparison, or a pause that nobody was told of.
    if (state.status === 'paused') await crun.resume(id);
    return { phase: 'running', pid: state.pid };
  }
  await containers.killTasks(id);
  const late = isWatched ? waitFor(ended, `exit code of container ${id}`).catch(() => undefined) : undefined;
  return (await late) ?? { phase: 'stopped', exitCode: KILLED_EXIT_CODE };
}

const waitFor = <T>(attempt: () => Promise<T | undefined>, what: string): Promise<T> =>
  pollUntil(attempt, { timeoutMs: EXIT_FILE_TIMEOUT_MS, intervalMs: 20, what });

async function dropDump(containers: Containers, container: Container): Promise<void> {
  const own = containers.paths(container.spec.id);
  await rm(own.dumpImages, { recursive: true, force: true });
  await rm(own.dumpRootfsDiff, { force: true });
  await forgetTracked(containers, container);
}

/** What was sent for a restore that never began has files, and perhaps a pager, but no record. */
async function removeUnknown({ paths, containers }: AdoptionDeps, programs: readonly LeftoverProgram[]) {
  const known = new Set(containers.list().map(({ id }) => id));
  for (const directory of containerDirectories(paths)) {
    const names = await readdir(directory).catch(() => []);
    for (const id of names.filter((name) => !known.has(name))) {
      await endNow(programs.filter((program) => worksOn(program, id, containerPaths(paths, id))));
      await rm(join(directory, id), { recursive: true, force: true });
    }
  }
}

async function eachOf<T>(
  items: readonly T[],
  atOnce: number,
  action: (item: T) => Promise<void>,
): Promise<void> {
  const rest = [...items];
  const work = async () => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await action(item);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}
