import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { containerPaths } from '../../guest-agent/paths.ts';
import { type AgentWorld, createAgentWorld } from '../helpers/agent-world.ts';
import { CONTAINER_SPEC } from '../helpers/container-spec.ts';
import { dumpRequest, STOP } from '../helpers/dump-requests.ts';
import { rejection } from '../helpers/rejection.ts';
import { until } from '../helpers/until.ts';

const eventsOf = ({ agent }: AgentWorld) => agent.events.since(0).map(({ event }) => event);

/** Nothing of the container is left: no bundle, no data, no mount, no network, no exit file. */
function assertNothingLeft(world: AgentWorld, id: string): void {
  const own = containerPaths(world.paths, id);
  assert.equal(world.agent.containers.list(), []);
  assert.not(existsSync(own.bundle));
  assert.is(world.mounted.size, 0);
  assert.is(world.attached.size, 0);
  assert.equal(readdirSync(join(world.paths.runDirectory, 'exits')), []);
}

test('a container is created, started, ends and is deleted; each step is an event', async () => {
  const world = await createAgentWorld('containers');
  const { containers } = world.agent;
  const created = await containers.create(CONTAINER_SPEC);
  assert.equal(created, { id: 'web', phase: 'created', address: '127.0.0.1/8', pid: 4242 });
  const own = containerPaths(world.paths, 'web');
  assert.ok(JSON.parse(readFileSync(own.config, 'utf8')).process);
  assert.is((await containers.start('web')).phase, 'running');
  const stopped = containers.waitStopped('web');
  world.leaveExit('web', 3);
  await stopped;
  assert.equal(containers.inspect('web'), {
    id: 'web',
    phase: 'stopped',
    address: '127.0.0.1/8',
    exitCode: 3,
  });
  await containers.waitStopped('web');
  await containers.remove('web');
  assert.equal(eventsOf(world), ['created', 'started', 'exited', 'deleted']);
  assert.equal(world.crunCalls(), ['start web', 'delete --force web']);
  assertNothingLeft(world, 'web');
});

/** The image's own files; the fake mount keeps what is there. */
function writeUsers({ paths }: AgentWorld): void {
  const etc = join(containerPaths(paths, 'web').rootfs, 'etc');
  mkdirSync(etc, { recursive: true });
  writeFileSync(join(etc, 'passwd'), 'app:x:1000:33::/srv:/bin/sh\n');
  writeFileSync(join(etc, 'group'), 'logs:x:4:\n');
}

test("a user by name is who the image's own files say", async () => {
  for (const [user, expected] of [
    ['app', { uid: 1000, gid: 33 }],
    ['app:logs', { uid: 1000, gid: 4 }],
  ] as const) {
    const world = await createAgentWorld('containers');
    writeUsers(world);
    await world.agent.containers.create({ ...CONTAINER_SPEC, user });
    const config = readFileSync(containerPaths(world.paths, 'web').config, 'utf8');
    assert.equal(JSON.parse(config).process.user, expected, user);
  }
});

test('a user that the image does not know is refused by name, and nothing is left', async () => {
  const world = await createAgentWorld('containers');
  writeUsers(world);
  const refused = await rejection(world.agent.containers.create({ ...CONTAINER_SPEC, user: 'app:ghosts' }));
  assert.match(refused.message, /create container web as app:ghosts: the container has no such group/);
  assert.is(refused.code, 'invalid_request');
  assertNothingLeft(world, 'web');
});

test('a container that has ended lets go of its volumes, and has them again when it is made again', async () => {
  const world = await createAgentWorld('containers');
  const { containers } = world.agent;
  const spec = { ...CONTAINER_SPEC, volumes: [{ lun: 3, destination: '/data', readOnly: false }] };
  await containers.create(spec);
  await containers.start('web');
  const refused = await rejection(containers.releaseVolumes('web'));
  assert.is(refused.code, 'invalid_state');
  assert.ok(world.mounted.has('volume 3'));
  world.leaveExit('web', 0);
  await containers.waitStopped('web');
  await containers.releaseVolumes('web');
  await containers.releaseVolumes('web');
  assert.equal([...world.mounted], ['web']);
  await containers.recreate(spec);
  assert.ok(world.mounted.has('volume 3'));
  await containers.remove('web');
  assertNothingLeft(world, 'web');
});

test('an unknown container is not found, whatever is asked of it', async () => {
  const { containers } = (await createAgentWorld('containers')).agent;
  for (const call of [
    () => containers.start('none'),
    () => containers.kill('none', 'SIGTERM'),
    () => containers.remove('none'),
    async () => containers.inspect('none'),
  ]) {
    const error = await rejection(call());
    assert.is(error.code, 'not_found');
    assert.is(error.message, 'container none: there is none of this name');
  }
});

test('a name that is taken is refused and the first container stays', async () => {
  const world = await createAgentWorld('containers');
  const { containers } = world.agent;
  await containers.create(CONTAINER_SPEC);
  assert.is((await rejection(containers.create(CONTAINER_SPEC))).code, 'already_exists');
  assert.is(containers.inspect('web').phase, 'created');
  assert.ok(world.mounted.has('web'));
});

test('a transition that the state does not allow names the state and has no effect', async () => {
  const world = await createAgentWorld('containers');
  const { containers, checkpoints } = world.agent;
  await containers.create(CONTAINER_SPEC);
  const early = await rejection(checkpoints.begin('web', dumpRequest()));
  assert.is(early.message, 'checkpoint container web: it is created, not running');
  const unfrozen = await rejection(checkpoints.finish('web', STOP));
  assert.is(unfrozen.message, 'stop after checkpoint of container web: it is created, not checkpointing');
  await containers.start('web');
  const twice = await rejection(containers.start('web'));
  assert.is(twice.code, 'invalid_state');
  assert.is(twice.message, 'start container web: it is running, not created');
  world.leaveExit('web', 0);
  await containers.waitStopped('web');
  const late = await rejection(containers.kill('web', 'SIGTERM'));
  assert.is(late.message, 'kill container web: it is stopped, not created or running or paused');
  assert.equal(world.crunCalls(), ['start web']);
  assert.is(containers.inspect('web').phase, 'stopped');
});

test('a container in the middle of a checkpoint can not be deleted', async () => {
  const world = await createAgentWorld('containers');
  const { containers } = world.agent;
  await containers.create(CONTAINER_SPEC);
  const life = { phase: 'checkpointing', pid: 1, frozenAtMs: 0 } as const;
  containers.get('web').life = life;
  const error = await rejection(containers.remove('web'));
  assert.match(error.message, /^delete container web: it is checkpointing, not /);
  assert.is(containers.get('web').life, life);
});

test('a create that fails leaves nothing, at whichever step', async () => {
  const world = await createAgentWorld('containers');
  world.fail('mount', '');
  await world.agent.containers.create(CONTAINER_SPEC).then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, /no such device/),
  );
  assertNothingLeft(world, 'web');

  const other = await createAgentWorld('containers');
  other.fail('conmon', '{"data": -1, "message": "crun: executable not found"}');
  const error = await rejection(other.agent.containers.create(CONTAINER_SPEC));
  assert.is(error.code, 'runtime_failed');
  assert.is(error.message, 'crun create web: crun: executable not found');
  assertNothingLeft(other, 'web');
  assert.equal(eventsOf(other), []);
});

test("a start that crun refuses leaves the container created, with crun's words", async () => {
  const world = await createAgentWorld('containers');
  const { containers } = world.agent;
  await containers.create(CONTAINER_SPEC);
  world.fail('start', 'exec: no such file');
  assert.match((await rejection(containers.start('web'))).message, /exec: no such file$/);
  assert.is(containers.inspect('web').phase, 'created');
  assert.equal(eventsOf(world), ['created']);
});

test('a container that ends before conmon has given its verdict is found to have ended', async () => {
  const world = await createAgentWorld('containers');
  writeFileSync(join(world.directory, 'exit-at-once'), '9');
  writeFileSync(join(world.directory, 'exits-as'), 'web');
  const state = await world.agent.containers.create(CONTAINER_SPEC);
  assert.is(state.phase, 'stopped');
  assert.is(state.exitCode, 9);
  assert.equal(eventsOf(world), ['created', 'exited']);
});

test('an exit is told once, and one of an unknown container is ignored', async () => {
  const world = await createAgentWorld('containers');
  const { containers } = world.agent;
  await containers.create(CONTAINER_SPEC);
  world.leaveExit('other', 1);
  world.leaveExit('web', 1);
  await containers.waitStopped('web');
  world.leaveExit('web', 2);
  await containers.create({ ...CONTAINER_SPEC, id: 'next' });
  world.leaveExit('next', 5);
  await until('the next exit', () => containers.inspect('next').phase === 'stopped');
  assert.is(containers.inspect('web').exitCode, 1);
  assert.equal(eventsOf(world), ['created', 'exited', 'created', 'exited']);
});

test.run();
