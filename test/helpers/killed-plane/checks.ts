/** What has to hold of a plane, its guests and its store once nothing is under way; each check gives what does not. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isDeepStrictEqual } from 'node:util';
import { containerDirectories, exitDirectory } from '../../../guest-agent/paths.ts';
import { pollUntil } from '../../../platform/deadline.ts';
import type { FakeMachine } from '../fake-machine.ts';
import type { KilledPlane } from './world.ts';

const QUIET_TIMEOUT_MS = 300_000;

interface Listed {
  id: string;
  name: string;
  guest: string;
  phase: string;
  ports: { hostPort: number }[];
  restoredFrom?: object;
}

const differs = (what: string, found: unknown, wanted: unknown): string[] =>
  isDeepStrictEqual(found, wanted)
    ? []
    : [`${what}: ${JSON.stringify(found)}, expected ${JSON.stringify(wanted)}`];

const sorted = (names: Iterable<string>): string[] => [...names].sort();

/** Waits until everything is as it was told, and takes down what the plane has decided by itself. */
export async function checkQuiet(world: KilledPlane): Promise<void> {
  let last: string[] = [];
  const quiet = async () => {
    last = await problems(world);
    return last.length === 0 || undefined;
  };
  const wait = { timeoutMs: QUIET_TIMEOUT_MS, intervalMs: 100, what: 'quiet' };
  await pollUntil(quiet, wait).catch((error: Error) => {
    throw new Error(last.length === 0 ? error.message : last.join('\n'));
  });
  await takeDown(world);
}

async function problems(world: KilledPlane): Promise<string[]> {
  const listed = await listOf<Listed>(world, 'containers');
  return [
    ...modelProblems(world, listed),
    ...world.machines.flatMap((machine) => guestProblems(machine, listed)),
    ...(await checkpointProblems(world)),
    ...(await operationProblems(world)),
    ...(await restoreProblems(world, listed)),
    ...recordProblems(world),
    ...(await exitProblems(world)),
  ];
}

async function listOf<T>({ plane }: KilledPlane, kind: string): Promise<T[]> {
  return (await plane.send('GET', `/v1/${kind}?limit=1000`)).body.items;
}

function modelProblems({ models }: KilledPlane, listed: readonly Listed[]): string[] {
  const names = differs('containers', sorted(listed.map(({ name }) => name)), sorted(models.keys()));
  return [
    ...names,
    ...listed.flatMap(({ id, name, guest, phase, ports }) => {
      const model = models.get(name);
      if (model === undefined) return [];
      const found = { id, guest, phase, hostPort: ports[0]?.hostPort };
      const known = Object.entries({ ...model }).filter(
        ([key, value]) => key in found && value !== undefined,
      );
      return differs(name, found, { ...found, ...Object.fromEntries(known) });
    }),
  ];
}

/** Its agent has what the plane says, and nothing is left of what it had. */
function guestProblems(
  { registration: { name }, world, pagerCount }: FakeMachine,
  listed: readonly Listed[],
) {
  const own = listed.filter(({ guest }) => guest === name);
  const ids = sorted(own.map(({ id }) => id));
  const has = world.agent.containers.list();
  const [bundles, data] = containerDirectories(world.paths);
  const namesIn = (path: string) => (existsSync(path) ? sorted(readdirSync(path)) : []);
  const stray = namesIn(exitDirectory(world.paths)).filter((id) => !ids.includes(id));
  return [
    ...differs(
      `containers of ${name}`,
      sorted(has.map(({ id, phase }) => `${id} ${phase}`)),
      sorted(own.map(({ id, phase }) => `${id} ${phase}`)),
    ),
    ...differs(`bundles of ${name}`, namesIn(bundles), ids),
    ...differs(`layers of ${name}`, namesIn(data), ids),
    ...differs(`exits of ${name}`, stray, []),
    ...differs(
      `networks of ${name}`,
      sorted(world.attached),
      ids.map((id) => `op-${id}`),
    ),
    ...differs(`pagers of ${name}`, pagerCount(), 0),
  ];
}

/** What an eviction or a restore may change is left out. */
const lasting = ({ bytes, sharedBytes, hasOrderLog, ...rest }: Record<string, unknown>) => rest;

async function checkpointProblems(world: KilledPlane): Promise<string[]> {
  const { plane, checkpoints } = world;
  const listed = await listOf<{ id: string }>(world, 'checkpoints');
  // Those of drains that were cut off belong to nobody's answer.
  const told = listed.filter(({ id }) => checkpoints.has(id) || !id.startsWith('drain-'));
  const onDisk = (directory: string) => sorted(readdirSync(join(plane.store, directory)));
  return [
    ...differs('checkpoints', sorted(told.map(({ id }) => id)), sorted(checkpoints.keys())),
    ...told.flatMap((view) => {
      const known = checkpoints.get(view.id);
      return known ? differs(`checkpoint ${view.id}`, lasting(view as never), lasting(known)) : [];
    }),
    ...differs('store', onDisk('checkpoints'), sorted(listed.map(({ id }) => id))),
    ...differs('half a checkpoint', onDisk('incoming'), []),
  ];
}

async function operationProblems(world: KilledPlane): Promise<string[]> {
  type View = { id: string; phase: string };
  const listed = new Map((await listOf<View>(world, 'operations')).map((view) => [view.id, view]));
  const running = [...listed.values()].filter(({ phase }) => phase === 'running');
  return [
    ...running.map((view) => `operation under way: ${JSON.stringify(view)}`),
    ...[...world.operations].flatMap(([id, { ended }]) =>
      differs(`operation ${id}`, listed.get(id), ended ?? listed.get(id) ?? 'there'),
    ),
  ];
}

async function restoreProblems(world: KilledPlane, listed: readonly Listed[]): Promise<string[]> {
  type View = { id: string; container: string; phase: string; pagesVerified?: boolean };
  const restores = await listOf<View>(world, 'restores');
  const isOver = ({ phase }: View) => phase === 'complete' || phase === 'failed';
  const isWhole = (name: string) =>
    restores.some(({ container, phase }) => container === name && phase === 'complete');
  const running = listed.filter(({ restoredFrom, phase }) => restoredFrom && phase === 'running');
  return [
    ...restores.filter((view) => !isOver(view)).map((view) => `restore under way: ${JSON.stringify(view)}`),
    ...restores.filter(({ pagesVerified }) => pagesVerified === false).map(({ id }) => `${id}: wrong pages`),
    ...running
      .filter(({ name }) => !isWhole(name.replace(/x+$/, '')) && !isWhole(name))
      .map(({ name }) => `${name} runs, and no restore of it is complete`),
  ];
}

/** Nothing is left on record as under way. */
function recordProblems({ plane }: KilledPlane): string[] {
  const database = new DatabaseSync(join(plane.store, 'plane.db'), { readOnly: true });
  try {
    const intents = database.prepare('SELECT body FROM intents').all();
    const restores = database.prepare("SELECT id FROM documents WHERE kind = 'restore under way'").all();
    return [...differs('intents', intents, []), ...differs('restores under way', restores, [])];
  } finally {
    database.close();
  }
}

/** Each end that an agent saw is in the journal, once, in the order it happened. */
async function exitProblems({ plane, machines }: KilledPlane): Promise<string[]> {
  interface Told {
    event: string;
    container?: string;
    exitCode?: number;
  }
  const { body: journal } = await plane.send('GET', '/v1/events?since=0&follow=false');
  const exitsOf = (events: Told[]) =>
    Map.groupBy(
      events.filter(({ event }) => event === 'exited'),
      ({ container }) => container!,
    );
  const told = exitsOf(journal);
  return machines.flatMap(({ world }) =>
    [...exitsOf(world.agent.events.since(0))].flatMap(([id, seen]) =>
      differs(
        `exits of ${id}`,
        (told.get(id) ?? []).map(({ exitCode }) => exitCode),
        seen.map(({ exitCode }) => exitCode),
      ),
    ),
  );
}

async function takeDown(world: KilledPlane): Promise<void> {
  for (const { id, name, guest, ports } of await listOf<Listed>(world, 'containers')) {
    const hostPort = ports[0]?.hostPort;
    if (hostPort !== undefined) world.ports.add(hostPort);
    Object.assign(world.models.get(name)!, { id, guest, hostPort, isArriving: false });
  }
  for (const view of await listOf<Record<string, unknown>>(world, 'checkpoints')) {
    world.checkpoints.set(String(view.id), view);
  }
}
