import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { LeftoverProgram } from '../../guest-agent/leftover-programs.ts';
import { containerPaths, exitDirectory } from '../../guest-agent/paths.ts';
import { processNamed } from '../../guest-agent/process-name.ts';
import { type AgentWorld, createAgentWorld, makeCgroup } from '../helpers/agent-world.ts';
import { CONTAINER_SPEC } from '../helpers/container-spec.ts';
import { until } from '../helpers/until.ts';

const eventsOf = ({ agent }: AgentWorld) =>
  agent.events.since(0).map(({ sequence, container, event }) => `${sequence} ${container} ${event}`);
const spec = (id: string) => ({ ...CONTAINER_SPEC, id });

/** What crun says of it from now on. */
const crunSays = (world: AgentWorld, id: string, status: string, pid = 4242) =>
  writeFileSync(join(world.directory, `state-${id}`), JSON.stringify({ status, pid }));

/** The container's monitor, as it would be found. */
const monitorOf = (world: AgentWorld, id: string): LeftoverProgram => ({
  process: { pid: 2 ** 22, startTicks: 1 },
  name: 'conmon',
  args: ['--cid', id, '--cuuid', id, '--bundle', containerPaths(world.paths, id).bundle],
});

async function running(world: AgentWorld, id: string): Promise<LeftoverProgram> {
  await world.agent.containers.create(spec(id));
  await world.agent.containers.start(id);
  crunSays(world, id, 'running');
  return monitorOf(world, id);
}

test('a container that runs goes on, with its events and their numbers', async () => {
  const world = await createAgentWorld('adoption');
  const monitor = await running(world, 'web');
  const before = world.agent.containers.list();
  const { instanceId } = await world.agent.health();
  await world.restart([monitor]);
  assert.equal(world.agent.containers.list(), before);
  assert.is((await world.agent.health()).instanceId, instanceId);
  world.leaveExit('web', 4);
  await world.agent.containers.waitStopped('web');
  assert.equal(eventsOf(world), ['1 web created', '2 web started', '3 web exited']);
});

test('exits that were missed are told once, in the order in which they came, at their own time', async () => {
  const world = await createAgentWorld('adoption');
  const monitors = [await running(world, 'a'), await running(world, 'b'), await running(world, 'c')];
  world.agent.close();
  const firstMs = Math.round(Date.now() / 1_000) * 1_000 - 60_000;
  let missedAtMs = firstMs;
  for (const [id, exitCode] of [
    ['b', 3],
    ['c', 0],
    ['a', 9],
  ] as const) {
    world.leaveExit(id, exitCode);
    const path = join(exitDirectory(world.paths), id);
    utimesSync(path, missedAtMs / 1_000, missedAtMs / 1_000);
    missedAtMs += 1_000;
  }
  await world.restart([]);
  assert.equal(eventsOf(world).slice(6), ['7 b exited', '8 c exited', '9 a exited']);
  assert.is(world.agent.containers.inspect('b').exitCode, 3);
  assert.equal(
    world.agent.events.since(6).map(({ atMs }) => atMs - firstMs),
    [0, 1_000, 2_000],
  );
  await world.restart(monitors);
  assert.is(eventsOf(world).length, 9);
});

test('a container whose start was under way is found running, and that it started is told', async () => {
  const world = await createAgentWorld('adoption');
  await world.agent.containers.create(spec('web'));
  crunSays(world, 'web', 'running');
  await world.restart([monitorOf(world, 'web')]);
  assert.is(world.agent.containers.inspect('web').phase, 'running');
  assert.equal(eventsOf(world), ['1 web created', '2 web started']);
});

test('one that was paused stays so, and one that stood still for a moment runs on', async () => {
  const world = await createAgentWorld('adoption');
  const monitors = [await running(world, 'paused'), await running(world, 'compared')];
  await world.agent.containers.pause('paused');
  for (const id of ['paused', 'compared']) crunSays(world, id, 'paused');
  await world.restart(monitors);
  assert.is(world.agent.containers.inspect('paused').phase, 'paused');
  assert.is(world.agent.containers.inspect('compared').phase, 'running');
  assert.equal(
    world.crunCalls().filter((call) => call.startsWith('resume')),
    ['resume compared'],
  );
});

test('one that stood still for a checkpoint runs on, without what was dumped and without a base for the next', async () => {
  const world = await createAgentWorld('adoption');
  const monitor = await running(world, 'web');
  const { containers } = world.agent;
  const container = containers.get('web');
  container.trackedDump = { token: 'ab'.repeat(32), programs: new Map([['7', 0x7fff_0000n]]) };
  containers.enter(container, { phase: 'checkpointing', pid: 4242, frozenAtMs: 5 });
  const own = containerPaths(world.paths, 'web');
  for (const path of [own.dumpImages, own.parentImages]) mkdirSync(path);
  writeFileSync(own.dumpRootfsDiff, 'tar');
  crunSays(world, 'web', 'paused');
  await world.restart([monitor]);
  assert.is(world.agent.containers.inspect('web').phase, 'running');
  assert.is(world.agent.containers.get('web').trackedDump, undefined);
  for (const path of [own.dumpImages, own.parentImages, own.dumpRootfsDiff]) assert.not(existsSync(path));
  assert.is(world.crunCalls().at(-1), 'resume web');
  assert.equal(eventsOf(world), ['1 web created', '2 web started', '3 web resumed']);
});

test('what changes are tracked since is known to the next agent', async () => {
  const world = await createAgentWorld('adoption');
  const monitor = await running(world, 'web');
  const container = world.agent.containers.get('web');
  container.trackedDump = { token: 'ab'.repeat(32), programs: new Map([['7', 0x7fff_dead_0000n]]) };
  world.agent.containers.save(container);
  await world.restart([monitor]);
  assert.equal(world.agent.containers.get('web').trackedDump, container.trackedDump);
});

test('a creation and a restore that were under way are undone, and nothing is left', async () => {
  const world = await createAgentWorld('adoption');
  const { containers } = world.agent;
  await containers.prepare(spec('created'), { phase: 'created', pid: 0 });
  await containers.prepare(spec('restored'), { phase: 'restoring' });
  const crun = spawn('sleep', ['600'], { stdio: 'ignore' });
  await once(crun, 'spawn');
  const ended = once(crun, 'exit');
  await world.restart([
    {
      process: processNamed(crun.pid!)!,
      name: 'crun',
      args: ['create', '--bundle', containerPaths(world.paths, 'created').bundle, 'created'],
    },
  ]);
  assert.equal(await ended, [null, 'SIGKILL']);
  assert.equal(world.agent.containers.list(), []);
  assert.is(world.mounted.size, 0);
  assert.is(world.attached.size, 0);
  for (const id of ['created', 'restored']) {
    const own = containerPaths(world.paths, id);
    assert.not(existsSync(own.bundle));
    assert.not(existsSync(own.data));
  }
  assert.equal(eventsOf(world), []);
  await world.agent.containers.create(spec('created'));
});

test('a removal that was under way is finished, and told once', async () => {
  const world = await createAgentWorld('adoption');
  await running(world, 'web');
  const container = world.agent.containers.get('web');
  container.removing = true;
  world.agent.containers.save(container);
  await world.restart();
  assert.equal(world.agent.containers.list(), []);
  assert.not(existsSync(containerPaths(world.paths, 'web').bundle));
  await world.restart();
  assert.equal(eventsOf(world), ['1 web created', '2 web started', '3 web deleted']);
});

test('images that were sent for a restore that never began are removed', async () => {
  const world = await createAgentWorld('adoption');
  const own = containerPaths(world.paths, 'late');
  for (const path of [own.restoreImages, own.data]) mkdirSync(path, { recursive: true });
  await world.restart();
  assert.not(existsSync(own.bundle));
  assert.not(existsSync(own.data));
});

test('a container whose monitor is gone is ended: nobody would see its end', async () => {
  const world = await createAgentWorld('adoption');
  await running(world, 'web');
  const cgroup = makeCgroup(world, 'web');
  writeFileSync(join(cgroup, 'cgroup.kill'), '');
  await world.restart([]);
  assert.equal(world.agent.containers.inspect('web').exitCode, 137);
  assert.is(readFileSync(join(cgroup, 'cgroup.kill'), 'utf8'), '1');
  assert.equal(eventsOf(world).at(-1), '3 web exited');
});

/** A pager that lived on, by way of a process that has said `words` and ends when told. */
async function withPager(words: string) {
  const world = await createAgentWorld('adoption');
  const monitor = await running(world, 'web');
  writeFileSync(join(makeCgroup(world, 'web'), 'cgroup.kill'), '');
  const pager = spawn('sleep', ['600'], { stdio: 'ignore' });
  await once(pager, 'spawn');
  const container = world.agent.containers.get('web');
  container.pager = {
    process: processNamed(pager.pid!),
    ready: Promise.resolve(),
    stop: async () => {},
  };
  world.agent.containers.save(container);
  writeFileSync(containerPaths(world.paths, 'web').pagerLog, words);
  await world.restart([monitor]);
  assert.ok(world.agent.containers.get('web').pager);
  const killed = () => readFileSync(join(containerPaths(world.paths, 'web').cgroup, 'cgroup.kill'), 'utf8');
  assert.is(killed(), '');
  return { world, pager, killed };
}

test('a pager that lived on and brings every page lets its container run', async () => {
  const { world, pager, killed } = await withPager('offload-pager: done installed=12 demand_faults=1\n');
  pager.kill('SIGKILL');
  await until('its end is seen', () => world.agent.containers.get('web').pager === undefined);
  assert.is(killed(), '');
});

test('a pager that lived on and fails ends its container', async () => {
  const { world, pager, killed } = await withPager('offload-pager: the plane went away\n');
  pager.kill('SIGKILL');
  await until('its container is ended', () => killed() === '1');
  assert.is(world.agent.containers.get('web').pager, undefined);
});

test('a pager that died while nobody watched ends its container at once', async () => {
  const world = await createAgentWorld('adoption');
  const monitor = await running(world, 'web');
  writeFileSync(join(makeCgroup(world, 'web'), 'cgroup.kill'), '');
  const container = world.agent.containers.get('web');
  const gone = { pid: 2 ** 22, startTicks: 1 };
  container.pager = { process: gone, ready: Promise.resolve(), stop: async () => {} };
  world.agent.containers.save(container);
  await world.restart([monitor]);
  await until('its container is ended', () => {
    return readFileSync(join(containerPaths(world.paths, 'web').cgroup, 'cgroup.kill'), 'utf8') === '1';
  });
});

test.run();
