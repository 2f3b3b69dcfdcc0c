import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isImage } from '../../guest-agent/dump.ts';
import { containerPaths } from '../../guest-agent/paths.ts';
import { acceptDump } from '../../interconnect/dump-stream.ts';
import type { DumpSummary } from '../../offload-plane/page-server/dump-contract.ts';
import { receiveDump } from '../../offload-plane/page-server/receive-dump.ts';
import { type AgentWorld, createAgentWorld, makeCgroup } from '../helpers/agent-world.ts';
import { CONTAINER_SPEC } from '../helpers/container-spec.ts';
import { dumpRequest, PATIENT_MS, RESUME, STOP, TOKEN } from '../helpers/dump-requests.ts';
import { rejection } from '../helpers/rejection.ts';
import { until } from '../helpers/until.ts';
import { makeStore } from '../offload-plane/page-store/fixture.ts';

async function runningContainer(): Promise<AgentWorld & { own: ReturnType<typeof containerPaths> }> {
  const world = await createAgentWorld('checkpoint');
  await world.agent.containers.create(CONTAINER_SPEC);
  await world.agent.containers.start('web');
  return { ...world, own: containerPaths(world.paths, 'web') };
}

/** The plane's half, once the agent has dialled: takes the dump into a real store. */
async function takeDump(world: AgentWorld): Promise<{ token: string; dump: DumpSummary }> {
  await until('the agent dials the plane', () => world.dialled.length > 0);
  const { store, remove } = await makeStore();
  try {
    const { token, stream } = await acceptDump(world.dialled[0]!, { tokenDeadlineMs: PATIENT_MS });
    const dump = await receiveDump(stream, await store.begin('warm'), { idleDeadlineMs: PATIENT_MS });
    return { token: token.toString('hex'), dump };
  } finally {
    await remove();
  }
}

const lastEvent = ({ agent }: AgentWorld) => agent.events.since(0).at(-1)?.event;

test('a checkpoint freezes, dumps to the plane with the token, and stands still until it is finished', async () => {
  const world = await runningContainer();
  const { checkpoints, containers } = world.agent;
  writeFileSync(join(world.own.upper, 'changed'), 'by the container');
  const [result, taken] = await Promise.all([checkpoints.begin('web', dumpRequest()), takeDump(world)]);
  assert.is(taken.token, TOKEN);
  assert.is(taken.dump.pageCount, 3);
  assert.equal(result.imageFiles.sort(), ['core-1.img', 'inventory.img']);
  assert.is(result.rootfsDiffFileCount, 1);
  assert.ok(existsSync(world.own.dumpRootfsDiff));
  assert.is(containers.inspect('web').phase, 'checkpointing');
  assert.equal(world.crunCalls().slice(0, 2), ['start web', 'pause web']);
  assert.not(world.crunCalls().includes('resume web'));

  const frozenMs = await checkpoints.finish('web', RESUME);
  assert.ok(frozenMs >= result.dumpMs);
  assert.is(containers.inspect('web').phase, 'running');
  assert.is(world.crunCalls().at(-1), 'resume web');
  assert.is(lastEvent(world), 'resumed');
  assert.not(existsSync(world.own.dumpImages));
  assert.not(existsSync(world.own.dumpRootfsDiff));
});

test('a checkpoint that ends the container kills its cgroup and waits for the exit', async () => {
  const world = await runningContainer();
  const { checkpoints, containers } = world.agent;
  await Promise.all([checkpoints.begin('web', dumpRequest()), takeDump(world)]);
  const cgroup = makeCgroup(world, 'web');
  const finished = checkpoints.finish('web', STOP);
  await until('the cgroup is killed', () => existsSync(join(cgroup, 'cgroup.kill')));
  world.leaveExit('web', 137);
  await finished;
  assert.equal(containers.inspect('web').exitCode, 137);
  assert.is(lastEvent(world), 'checkpointed');
  assert.not(world.crunCalls().includes('resume web'), 'it never ran again');
});

test('a container that did not change its files has no rootfs diff', async () => {
  const world = await runningContainer();
  const [result] = await Promise.all([world.agent.checkpoints.begin('web', dumpRequest()), takeDump(world)]);
  assert.is(result.rootfsDiffFileCount, 0);
  assert.not(existsSync(world.own.dumpRootfsDiff));
  await world.agent.checkpoints.finish('web', RESUME);
});

test("a dump that fails thaws the container, leaves nothing, and says CRIU's reason", async () => {
  const world = await runningContainer();
  writeFileSync(join(world.own.bundle, 'criu-fails'), '');
  const error = await rejection(world.agent.checkpoints.begin('web', dumpRequest()));
  assert.is(error.code, 'runtime_failed');
  assert.is(error.message, 'checkpoint container web: Error (criu/mem.c:1): no memory for this');
  assert.is(world.agent.containers.inspect('web').phase, 'running');
  assert.is(world.crunCalls().at(-1), 'resume web');
  assert.not(existsSync(world.own.dumpImages));
  await until('the connection to the plane ends', () => world.dialled[0]?.readableEnded || readAll(world));
});

/** A stream says that it ended only to those who read it. */
function readAll(world: AgentWorld): boolean {
  world.dialled[0]?.resume();
  return false;
}

test('a plane that hangs up in the middle of the dump thaws the container', async () => {
  const world = await runningContainer();
  const beginning = world.agent.checkpoints.begin('web', dumpRequest());
  beginning.catch(() => undefined);
  await until('the agent dials the plane', () => world.dialled.length > 0);
  world.dialled[0]!.destroy();
  await rejection(beginning);
  assert.is(world.agent.containers.inspect('web').phase, 'running');
  assert.is(world.crunCalls().at(-1), 'resume web');
});

test('a dump that hears nothing more of the plane is cut off by resume, and the container runs on', async () => {
  const world = await runningContainer();
  const { checkpoints, containers } = world.agent;
  const beginning = rejection(checkpoints.begin('web', dumpRequest(600_000)));
  await until('the agent dials the plane', () => world.dialled.length > 0);
  const { stream: unread } = await acceptDump(world.dialled[0]!, { tokenDeadlineMs: PATIENT_MS });
  await checkpoints.finish('web', RESUME);
  assert.is(containers.inspect('web').phase, 'running');
  assert.is((await beginning).code, 'runtime_failed');
  assert.is(world.crunCalls().filter((call) => call === 'resume web').length, 1);
  assert.not(existsSync(world.own.dumpImages));
  unread.destroy();
});

test('a dump that is cancelled before CRIU was started never starts it', async () => {
  const world = await runningContainer();
  const { checkpoints, containers } = world.agent;
  const beginning = rejection(checkpoints.begin('web', dumpRequest(600_000)));
  await checkpoints.finish('web', RESUME);
  assert.is((await beginning).message, 'checkpoint container web: cancelled');
  assert.is(containers.inspect('web').phase, 'running');
  assert.not(world.crunCalls().some((call) => call.startsWith('checkpoint')));
});

test('a container that can not be frozen is not thawed either and runs on', async () => {
  const world = await runningContainer();
  world.fail('pause', 'freezer: busy');
  world.fail('resume', 'not paused');
  const error = await rejection(world.agent.checkpoints.begin('web', dumpRequest()));
  assert.match(error.message, /freezer: busy$/);
  assert.is(world.agent.containers.inspect('web').phase, 'running');
  assert.not(world.crunCalls().includes('resume web'));
});

test('a container that does not thaw is paused, and can still be deleted', async () => {
  const world = await runningContainer();
  const { containers, checkpoints } = world.agent;
  writeFileSync(join(world.own.bundle, 'criu-fails'), '');
  world.fail('resume', 'freezer: stuck');
  const error = await rejection(checkpoints.begin('web', dumpRequest()));
  assert.match(error.message, /no memory for this$/, 'the first reason counts');
  assert.is(containers.inspect('web').phase, 'paused');
  await containers.remove('web');
});

test('a plane that never finishes is outlived: the container thaws when the lease ends', async () => {
  const world = await runningContainer();
  const { containers, checkpoints } = world.agent;
  await Promise.all([checkpoints.begin('web', dumpRequest(77_000)), takeDump(world)]);
  assert.is(containers.inspect('web').phase, 'checkpointing');
  assert.is(world.leases.at(-1)?.delayMs, 77_000);
  world.leases.at(-1)?.end();
  await until('the lease ends', () => lastEvent(world) === 'resumed');
  assert.is(containers.inspect('web').phase, 'running');
  const late = await rejection(checkpoints.finish('web', STOP));
  assert.is(late.message, 'stop after checkpoint of container web: it is running, not checkpointing');
});

test('a container that ends while it is checkpointed stays stopped', async () => {
  const world = await runningContainer();
  const { containers, checkpoints } = world.agent;
  await Promise.all([checkpoints.begin('web', dumpRequest()), takeDump(world)]);
  world.leaveExit('web', 137);
  await containers.waitStopped('web');
  assert.is((await rejection(checkpoints.finish('web', RESUME))).code, 'invalid_state');
  assert.is(containers.inspect('web').phase, 'stopped');
});

test('images are what CRIU needs again: no logs, no statistics', () => {
  const names = ['core-1.img', 'descriptors.json', 'dump.log', 'stats-dump', 'core-1.img.bak'];
  assert.equal(names.filter(isImage), ['core-1.img', 'descriptors.json']);
});

test('two checkpoints of one container do not mix', async () => {
  const world = await runningContainer();
  const { checkpoints } = world.agent;
  const first = checkpoints.begin('web', dumpRequest());
  const second = await rejection(checkpoints.begin('web', dumpRequest()));
  assert.is(second.message, 'checkpoint container web: it is checkpointing, not running');
  await Promise.all([first, takeDump(world)]);
  assert.not(world.crunCalls().includes('resume web'));
  assert.ok(readdirSync(world.own.dumpImages).includes('core-1.img'));
  await checkpoints.finish('web', RESUME);
});

test.run();
